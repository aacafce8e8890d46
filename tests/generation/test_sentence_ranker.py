"""What a sentence ranker reads, and that a sentence is judged by what stands before it and by nothing else."""

import json

import pytest
import torch
from fakes import chat_tokenizer, tiny_chat_model
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_lib.generation import sentence_ranker
from rag_lib.generation.sentence_ranker import AT_ONCE, FIRST, SentenceRanker, chunks
from rag_lib.indexing.documents import Source
from rag_lib.indexing.splitting import sentence_spans
from rag_lib.models.adapters import add_side_paths
from rag_lib.models.weights import ModelUnavailable, load_adapter

QUESTION = "Who took off?"
SOURCES = [
    Source("Vostok 6", "Valentina Tereshkova took off in 1963. She came down in the Altai.\nShe was 26."),
    Source("Vostok 1", "Yuri Gagarin took off from Baikonur."),
    Source("", "Nothing here."),
]


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(sentence_ranker, "load_bundled", lambda: (tiny_chat_model(), chat_tokenizer()))


@pytest.fixture
def ranker():
    model = SentenceRanker(layers=1).eval()
    torch.manual_seed(0)
    for head in model.heads.values():
        torch.nn.init.normal_(head.weight)
    return model


def test_every_sentence_of_every_source_is_judged_in_its_place(ranker):
    judged = ranker.judge(QUESTION, SOURCES)
    assert [[(j.start, j.end) for j in each] for each in judged] == [sentence_spans(s.text) for s in SOURCES]
    assert len({j.answers for each in judged for j in each}) == 5, "no two sentences should score the same"


def test_untrained_heads_prefer_nothing():
    judged = SentenceRanker(layers=1).judge(QUESTION, SOURCES)
    assert {(j.answers, j.says_yes) for each in judged for j in each} == {(0.0, 0.0)}


def test_its_states_are_those_of_the_whole_model_after_as_many_layers(ranker):
    lines = ranker.lay_out(QUESTION, SOURCES[0])
    whole = tiny_chat_model().base_model.eval()
    with torch.inference_mode():
        states = whole(torch.tensor([lines.ids]), output_hidden_states=True).hidden_states[1]
        expected = ranker.answers(whole.norm(states)[0, lines.ends])[:, 0]
        found = ranker([lines])[0][:, 0]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_a_sentence_is_judged_by_what_stands_before_it_alone(ranker):
    (all_of_it,) = ranker.judge(QUESTION, SOURCES[:1])
    end = all_of_it[1].end
    (beginning,) = ranker.judge(QUESTION, [Source("Vostok 6", SOURCES[0].text[:end])])
    assert [j.answers for j in beginning] == pytest.approx([j.answers for j in all_of_it[:2]], abs=1e-5)
    (other,) = ranker.judge("Where did she land?", SOURCES[:1])
    assert [j.answers for j in other] != pytest.approx([j.answers for j in all_of_it], abs=1e-3)


def test_padding_changes_nothing(ranker):
    together = ranker.judge(QUESTION, SOURCES)
    for source, judged in zip(SOURCES, together, strict=True):
        (alone,) = ranker.judge(QUESTION, [source])
        assert [j.answers for j in alone] == pytest.approx([j.answers for j in judged], abs=1e-5)


def test_marks_of_the_chat_are_just_text_and_line_ends_are_spaces(ranker):
    ids = ranker.lay_out(QUESTION, Source("T", "One <|im_end|>\ntwo.")).ids
    assert ids[0] == FIRST and ranker.tokenizer.convert_tokens_to_ids("<|im_end|>") not in ids[1:]
    assert ids.count(ranker.line_end) == 3, "after the question, the title and the only sentence"


def test_what_was_saved_judges_alike(ranker, tmp_path):
    add_side_paths(ranker, 2)
    for parameter in (p for n, p in ranker.named_parameters() if n.endswith("difference.b")):
        torch.nn.init.normal_(parameter, std=0.1)
    trained = ranker.judge(QUESTION, SOURCES)
    ranker.save(tmp_path)
    loaded = SentenceRanker.load(tmp_path, layers=1).judge(QUESTION, SOURCES)
    for ours, theirs in zip(trained, loaded, strict=True):
        assert [j.answers for j in theirs] == pytest.approx([j.answers for j in ours], abs=2e-2)
        assert [j.says_yes for j in theirs] == pytest.approx([j.says_yes for j in ours], abs=2e-2)
    assert trained[0][0].answers != pytest.approx(SentenceRanker(layers=1).judge(QUESTION, SOURCES)[0][0].answers)


def test_of_layers_that_were_not_trained_nothing_is_saved(ranker, tmp_path):
    add_side_paths(ranker, 2)
    ranker.save(tmp_path)
    assert set(load_adapter(tmp_path)) == {f"{head}.{part}" for head in ranker.heads for part in ("weight", "bias")}


def test_a_damaged_file_is_named(ranker, tmp_path):
    add_side_paths(ranker, 2)
    ranker.save(tmp_path)
    (name,) = json.loads((tmp_path / "shards.json").read_text())
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-1] + b"x")
    with pytest.raises(ModelUnavailable, match="is damaged"):
        SentenceRanker.load(tmp_path, layers=1)


def test_a_difference_of_more_layers_is_refused(ranker, tmp_path):
    add_side_paths(ranker, 2)
    for parameter in (p for n, p in ranker.named_parameters() if n.endswith("difference.b")):
        torch.nn.init.normal_(parameter)
    ranker.save(tmp_path)
    with pytest.raises(ModelUnavailable, match="does not fit"):
        SentenceRanker.load(tmp_path, layers=0)


@given(st.lists(st.integers(1, 2 * AT_ONCE), max_size=12))
@settings(max_examples=50)
def test_rows_are_read_together_as_far_as_they_fit(lengths):
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    parts = chunks(order, lengths)
    assert [i for part in parts for i in part] == order
    for part in parts:
        assert len(part) == 1 or len(part) * max(lengths[i] for i in part) <= AT_ONCE
