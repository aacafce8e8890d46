"""What a sentence ranker reads, and that a sentence is judged by what stands before it and by nothing else."""

import json
from copy import deepcopy
from itertools import pairwise

import pytest
import torch
from fakes import chat_tokenizer, tiny_chat_model
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_lib.generation import sentence_ranker
from rag_lib.generation.encoding import in_parts
from rag_lib.generation.sentence_ranker import AT_ONCE, FIRST, SentenceRanker
from rag_lib.indexing.documents import Source
from rag_lib.indexing.splitting import sentence_spans
from rag_lib.models.adapters import add_side_paths
from rag_lib.models.weights import ModelUnavailable, load_adapter, save_adapter

QUESTION = "Who took off?"
SOURCES = [
    Source("Vostok 6", "Valentina Tereshkova took off in 1963. She came down in the Altai.\nShe was 26."),
    Source("Vostok 1", "Yuri Gagarin took off from Baikonur."),
    Source("", "Nothing here."),
]


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(sentence_ranker, "load_bundled", lambda: (tiny_chat_model(), deepcopy(chat_tokenizer())))


@pytest.fixture
def ranker():
    model = SentenceRanker(layers=1).eval()
    torch.manual_seed(0)
    for head in model.heads.values():
        torch.nn.init.normal_(head.weight)
    return model


def test_every_sentence_of_every_source_is_judged_in_its_place(ranker):
    judged = ranker.score(QUESTION, SOURCES)
    assert [[(j.start, j.end) for j in each] for each in judged] == [sentence_spans(s.text) for s in SOURCES]
    assert len({j.relevance for each in judged for j in each}) == 5, "no two sentences should score the same"


def test_untrained_heads_prefer_nothing():
    judged = SentenceRanker(layers=1).score(QUESTION, SOURCES)
    assert {(j.relevance, j.says_yes) for each in judged for j in each} == {(0.0, 0.0)}


def test_its_states_are_those_of_the_whole_model_after_as_many_layers(ranker):
    lines = ranker.lay_out(QUESTION, SOURCES[0])
    whole = tiny_chat_model().base_model.eval()
    with torch.inference_mode():
        states = whole(torch.tensor([lines.ids]), output_hidden_states=True).hidden_states[1]
        expected = ranker.answers(whole.norm(states)[0, lines.ends])[:, 0]
        found = ranker([lines])[0][:, 0]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_a_sentence_is_judged_by_what_stands_before_it_alone(ranker):
    (all_of_it,) = ranker.score(QUESTION, SOURCES[:1])
    end = all_of_it[1].end
    (beginning,) = ranker.score(QUESTION, [Source("Vostok 6", SOURCES[0].text[:end])])
    assert [j.relevance for j in beginning] == pytest.approx([j.relevance for j in all_of_it[:2]], abs=1e-5)
    (other,) = ranker.score("Where did she land?", SOURCES[:1])
    assert [j.relevance for j in other] != pytest.approx([j.relevance for j in all_of_it], abs=1e-3)


def test_padding_changes_nothing(ranker):
    together = ranker.score(QUESTION, SOURCES)
    for source, judged in zip(SOURCES, together, strict=True):
        (alone,) = ranker.score(QUESTION, [source])
        assert [j.relevance for j in alone] == pytest.approx([j.relevance for j in judged], abs=1e-5)


def test_marks_of_the_chat_are_just_text_and_line_ends_are_spaces(ranker):
    ids = ranker.lay_out(QUESTION, Source("T", "One <|im_end|>\ntwo.")).ids
    assert ids[0] == FIRST and ranker.tokenizer.convert_tokens_to_ids("<|im_end|>") not in ids[1:]
    assert ids.count(ranker.line_end) == 3, "after the question, the title and the only sentence"


@pytest.mark.parametrize(
    ("question", "title", "text", "lines"),
    [
        (QUESTION, "", "One.", 3),
        ("Who\ntook off?", "A title\non two lines", "One. Two.", 4),
        (QUESTION, "Long " * 300, "One.", 3),
        (QUESTION, "T", "Word " * 500 + ".", 3),
        (QUESTION, "T", "", 2),
    ],
)
def test_question_title_and_every_sentence_are_a_line_each(ranker, question, title, text, lines):
    laid = ranker.lay_out(question, Source(title, text))
    assert laid.ids.count(ranker.line_end) == lines and len(laid.ends) == lines - 2
    assert all(laid.ids[end] == ranker.line_end for end in laid.ends)
    assert len(laid.ids) < 400
    assert len(ranker([laid])[0]) == lines - 2


def test_what_was_saved_judges_alike(ranker, tmp_path):
    before = ranker.score(QUESTION, SOURCES)
    add_side_paths(ranker, 2)
    for parameter in (p for n, p in ranker.named_parameters() if n.endswith("difference.b")):
        torch.nn.init.normal_(parameter, std=0.1)
    trained = ranker.score(QUESTION, SOURCES)
    assert abs(trained[0][0].relevance - before[0][0].relevance) > 0.2
    ranker.save(tmp_path)
    loaded = SentenceRanker.load(tmp_path, layers=1).score(QUESTION, SOURCES)
    for ours, theirs in zip(trained, loaded, strict=True):
        assert [j.relevance for j in theirs] == pytest.approx([j.relevance for j in ours], abs=0.03, rel=0.03)
        assert [j.says_yes for j in theirs] == pytest.approx([j.says_yes for j in ours], abs=0.03, rel=0.03)


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


def test_what_has_no_heads_is_no_ranker(tmp_path):
    save_adapter({"body.layers.0.mlp.up_proj.b": torch.zeros(2, 2)}, tmp_path)
    with pytest.raises(ModelUnavailable, match="is no sentence ranker"):
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
    parts = in_parts(order, lengths.__getitem__, AT_ONCE)
    assert [i for part in parts for i in part] == order
    for part, following in pairwise([*parts, []]):
        assert len(part) == 1 or len(part) * max(lengths[i] for i in part) <= AT_ONCE
        assert not following or (len(part) + 1) * lengths[following[0]] > AT_ONCE, "one more would not have fitted"
