import itertools
import math

import pytest
import torch
from contracts import GeneratorContract
from fakes import small_model
from hypothesis import given
from hypothesis import strategies as st

from rag_lib.generation import verdicts
from rag_lib.generation.claims import DECODER, HEAD, RETRIEVER
from rag_lib.generation.confidence import Confidence, load_confidence, logit, sigmoid
from rag_lib.generation.evidence import (
    EACH,
    LONGEST,
    evidence_logs,
    missing_probability,
    positions,
    runs,
    sentence_of,
    sentences,
    within_words,
)
from rag_lib.generation.generators import Decoding
from rag_lib.generation.jobs import ANSWER, QUOTE, REPLY
from rag_lib.generation.quotation import tokenize
from rag_lib.generation.reader import EvidenceReader
from rag_lib.generation.sentence_ranker import SentenceScore
from rag_lib.indexing.documents import Source
from rag_lib.indexing.splitting import sentence_spans
from rag_lib.models.weights import load_minilm

SOURCES = [
    Source("Vostok 6", "Valentina Tereshkova took off on 16 June 1963. She came down in the Altai."),
    Source("Vostok 1", "Yuri Gagarin took off from Baikonur. He came down near Engels."),
    Source("Vostok 1", "Gagarin's ship was the Vostok-3KA."),
]
QUESTION = "Who took off on 16 June 1963?"


@pytest.fixture(scope="module")
def reader():
    tokenizer = load_minilm()[1]
    return EvidenceReader(small_model(tokenizer).eval(), tokenizer)


@pytest.fixture(scope="module")
def one_row(reader):
    return EvidenceReader(reader.model, reader.tokenizer, Decoding(apart=False))


class TestEvidenceReader(GeneratorContract):
    @pytest.fixture
    def generator(self, reader):
        return reader


class TestEvidenceReaderOfOneRow(GeneratorContract):
    @pytest.fixture
    def generator(self, one_row):
        return one_row


@pytest.fixture(params=["reader", "one_row"])
def seen(request):
    """An item, where its sources stand, and what the head says of them."""
    generator = request.getfixturevalue(request.param)
    item = generator.lay_out(QUESTION, SOURCES, ANSWER)
    at = positions(item)
    with torch.inference_mode():
        states, _ = generator.encode(item)
        logits = generator.model.evidence(states[0])
    return generator, item, at, logits


def test_sources_are_found_where_they_stand(seen):
    generator, item, at, logits = seen
    laid = [token for row in item.rows for token in row]
    assert len(logits) == at.length == len(laid)
    for start, text in zip(at.sources, item.texts, strict=True):
        assert laid[start : start + len(text.ids)] == text.ids
    assert [laid[i] for i in at.rows] == [generator.tokenizer.cls_token_id] * len(item.rows)


@pytest.mark.parametrize("generator", ["reader", "one_row"])
@pytest.mark.parametrize(
    ("question", "sources"),
    [
        ("Who flew Vostok 1?", [Source("Vostok 1", "Vostok 1")]),
        ("Is it true that Gagarin flew?", [Source("G", "Gagarin flew"), Source("Gagarin flew", "Gagarin flew")]),
        ("context: Laika", [Source("title: Laika context: Laika", "Laika"), Source("Laika", "")]),
    ],
)
def test_a_text_is_not_taken_for_its_title_or_the_question(generator, question, sources, request):
    generator = request.getfixturevalue(generator)
    item = generator.lay_out(question, sources, ANSWER)
    at = positions(item)
    laid = [token for row in item.rows for token in row]
    for source, start, text in zip(sources, at.sources, item.texts, strict=True):
        assert laid[start : start + len(text.ids)] == text.ids
        before = generator.tokenizer.decode(laid[:start]).replace(" ", "")
        assert before.endswith(f"title:{source.title}context:".lower().replace(" ", ""))


def test_words_are_not_cut_at_their_apostrophes(reader):
    tokens = tokenize("The child's ship 'Vostok', the crew’s pride; rock 'n' roll", reader.tokenizer)
    words = [reader.tokenizer.convert_ids_to_tokens(i) for i in tokens.ids]
    inside = [w for w, within in zip(words, within_words(tokens, reader.pieces), strict=True) if within]
    assert inside[:2] == ["'", "s"] and inside.count("s") == 2 and "vo" not in inside and "crew" not in inside


def test_all_passages_share_one_softmax(seen):
    _, item, at, logits = seen
    logs = evidence_logs(logits, item, at)
    readable = [*at.rows, *(s + i for s, t in zip(at.sources, item.texts, strict=True) for i in range(len(t.ids)))]
    for side in (0, 1):
        expected = logits[readable, side].log_softmax(0)
        assert torch.allclose(logs[side, readable], expected, atol=1e-5)
        assert float(logs[side].exp().sum()) == pytest.approx(1, abs=1e-5)
    missing = logits[readable].softmax(0)[: len(at.rows)].sum(0).mean()
    assert missing_probability(logs, at) == pytest.approx(float(missing), abs=1e-5)


def test_runs_are_the_likeliest_of_all(seen):
    generator, item, at, logits = seen
    logs = evidence_logs(logits, item, at)
    every = []
    for source, start, text in zip(item.used, at.sources, item.texts, strict=True):
        for a, b in itertools.combinations_with_replacement(range(len(text.ids)), 2):
            inside = [*within_words(text, generator.pieces), False]
            cut = inside[a] or inside[b + 1]
            fits = b - a < LONGEST or any((s[0], s[-1]) == (a, b) for s in text.sentences)
            words = text.text[text.offsets[a][0] : text.offsets[b][1]]
            says = any(map(str.isalnum, words)) and not generator.empty.issuperset(text.ids[a : b + 1])
            if not cut and fits and says:
                every.append((float(logs[0, start + a] + logs[1, start + b]), source, text.offsets[a][0]))
    every.sort(key=lambda run: -run[0])
    of_each = [run for source in item.used for run in [r for r in every if r[1] == source][:EACH]]
    expected = sorted({*every[:12], *of_each}, key=lambda run: -run[0])
    found = runs(logs, item, at, generator.pieces, generator.empty, 12)
    assert [(q.place.source, q.place.start) for q in found] == [run[1:] for run in expected]
    assert [q.log for q in found] == pytest.approx([run[0] for run in expected], abs=1e-5)
    for q in found:
        row = q.place.source if len(at.rows) > 1 else 0
        assert q.odds == pytest.approx(q.log - float(logs[:, at.rows[row]].sum()), abs=1e-5), "against its own row"


def test_a_sentence_has_what_its_tokens_have(seen):
    _, item, at, logits = seen
    logs = evidence_logs(logits, item, at)
    found = sentences(logs, item, at)
    texts = [SOURCES[q.place.source].text[q.place.start : q.place.end] for q in found]
    assert sorted(texts) == sorted(s.text[a:b] for s in SOURCES for a, b in sentence_spans(s.text))
    assert [q.log for q in found] == sorted((q.log for q in found), reverse=True)
    begins = sum(math.exp(q.log / 2) ** 2 for q in found)
    assert begins + missing_probability(logs, at) <= 1 + 1e-4


def test_head_and_retriever_choose_the_sentence_and_head_and_decoder_the_words(reader):
    item = reader.lay_out(QUESTION, SOURCES, ANSWER)
    at = positions(item)
    trusted = [-0.1, -1.0, -3.0]
    with torch.inference_mode():
        states, mask = reader.encode(item)
        logs = evidence_logs(reader.model.evidence(states[0]), item, at)
        proposed = runs(logs, item, at, reader.pieces, reader.empty, 20)
        found = sentences(logs, item, at)
        scores = {}
        for quotation in proposed:
            labels = torch.tensor([[*quotation.ids, reader.tokenizer.sep_token_id]])
            loss = reader.model(encoder_outputs=(states,), attention_mask=mask, labels=labels).loss
            sentence = sentence_of(quotation, found)
            evidence = HEAD * sentence.log + RETRIEVER * trusted[sentence.place.source]
            scores[evidence, quotation.log - DECODER * float(loss) * labels.shape[1]] = quotation
    best = scores[max(scores)]
    (generation,) = reader.generate([QUESTION], [SOURCES], source_logs=[trusted])
    assert generation.place == best.place
    assert generation.text == SOURCES[best.place.source].text[best.place.start : best.place.end]
    words = reader.judge(proposed, found, states, mask, trusted)[0].words
    assert [t.probability for t in generation.tokens] == pytest.approx([math.exp(w) for w in words])


def test_the_order_of_the_passages_does_not_matter(reader):
    answers = [reader.generate([QUESTION], [order])[0] for order in itertools.permutations(SOURCES)]
    assert len({a.text for a in answers}) == 1
    assert [a.score for a in answers] == pytest.approx([answers[0].score] * len(answers), abs=1e-4)


@pytest.mark.parametrize("job", [QUOTE, REPLY])
def test_quotes_and_replies_are_whole_sentences(reader, job):
    (generation,) = reader.generate([QUESTION], [SOURCES], job)
    assert generation.text in {s.text[a:b] for s in SOURCES for a, b in sentence_spans(s.text)}


def test_without_sources_there_is_nothing_to_quote(reader):
    (generation,) = reader.generate([QUESTION], [[]])
    assert (generation.text, generation.score, generation.place) == ("", 0.0, None)


@given(st.floats(1e-5, 1 - 1e-5))
def test_log_odds_and_back(p):
    assert sigmoid(logit(p)) == pytest.approx(p, rel=1e-6)


def test_a_confidence_is_kept_beside_the_weights(tmp_path):
    confidence = Confidence({"share": 0.5, "present": -1.0}, 0.25)
    assert confidence({"share": 2.0, "present": 1.0, "other": 9.0}) == pytest.approx(1 / (1 + math.exp(-0.25)))
    assert load_confidence(tmp_path, Confidence()) == Confidence()
    confidence.save(tmp_path)
    assert load_confidence(tmp_path, Confidence()) == confidence


def test_a_source_that_the_retriever_trusts_wins(reader):
    item = reader.lay_out(QUESTION, SOURCES, ANSWER)
    at = positions(item)
    with torch.inference_mode():
        states, mask = reader.encode(item)
        logs = evidence_logs(reader.model.evidence(states[0]), item, at)
    proposed, found = runs(logs, item, at, reader.pieces, reader.empty, 100), sentences(logs, item, at)
    for k in range(3):
        trusted = [0.0 if i == k else -30.0 for i in range(3)]
        assert reader.judge(proposed, found, states, mask, trusted)[0].quotation.place.source == k
    plain, equal = (
        reader.generate([QUESTION], [SOURCES], source_logs=given)[0] for given in (None, [[-1.0, -1.0, -1.0]])
    )
    assert equal.place == plain.place, "a retriever that cannot decide decides nothing"
    assert plain.features["source"] == 0.0 and equal.features["source"] == -1.0


def test_a_model_built_around_the_reader_leaves_its_head_as_it_is(reader):
    before = reader.model.evidence.weight.detach().clone()
    reader.model.init_weights()
    assert torch.equal(reader.model.evidence.weight, before)


class Likes:
    """A sentence ranker that likes the sentences with some words, and says yes to those with others."""

    def __init__(self, words: str, yes: str = "") -> None:
        self.words, self.yes = words, yes
        self.asked = []

    def score(self, question, sources):
        self.asked += sources
        return [
            [
                SentenceScore(
                    a, b, 50.0 if self.words in s.text[a:b] else -50.0, 2.0 if self.yes in s.text[a:b] else -2.0
                )
                for a, b in sentence_spans(s.text)
            ]
            for s in sources
        ]


@given(st.integers(0, 1000))
def test_a_full_stop_is_no_answer(reader, seed):
    item = reader.lay_out(QUESTION, [Source("Dots", "It ended ... there. (!) So be it.")], ANSWER)
    at = positions(item)
    logits = torch.randn(at.length, 2, generator=torch.manual_seed(seed))
    proposed = runs(evidence_logs(logits, item, at), item, at, reader.pieces, reader.empty, 200)
    texts = [item.texts[0].text[q.place.start : q.place.end] for q in proposed]
    assert "..." not in texts and "." not in texts and "there." in texts


def test_a_sentence_that_is_wanted_has_a_run_even_if_its_likeliest_ones_say_nothing(reader):
    item = reader.lay_out(QUESTION, [Source("Flights", "It flew. And so on and on, for a very long time.")], ANSWER)
    at, (text,) = positions(item), item.texts
    logits = torch.full((at.length, 2), -20.0)
    it, stop = at.sources[0], at.sources[0] + 2
    logits[[it, stop], 0] = logits[[it, stop], 1] = 9.0  # "it" and "." are likelier than anything with a verb
    logs = evidence_logs(logits, item, at)
    (first, _) = sorted(sentences(logs, item, at), key=lambda s: s.place.start)
    found = runs(logs, item, at, reader.pieces, reader.empty, 1, [first])
    assert any("flew" in text.text[q.place.start : q.place.end] for q in found)


def ranked(reader, *words: str) -> EvidenceReader:
    return EvidenceReader(reader.model, reader.tokenizer, ranker=Likes(*words))


class TestEvidenceReaderWithRanker(GeneratorContract):
    @pytest.fixture
    def generator(self, reader):
        return ranked(reader, "Altai")


@pytest.mark.parametrize("words", ["Altai", "Engels", "Vostok-3KA"])
def test_the_answer_stands_in_the_sentence_that_the_ranker_likes(reader, words):
    generation = ranked(reader, words).read("Where did the ship come down?", SOURCES)
    place = generation.place
    text = SOURCES[place.source].text
    assert text[place.start : place.end] == generation.text
    assert any(words in text[a:b] and a <= place.start < b for a, b in sentence_spans(text))
    assert generation.features["relevance"] == 50.0 and generation.features["verdict"] == 0.0


WHETHER = "Did the ship come down in the Altai?"


@pytest.mark.parametrize(("words", "verdict"), [("Altai", "Yes"), ("Engels", "No")])
def test_yes_or_no_is_said_by_the_sentence_that_decides(reader, words, verdict):
    generation = ranked(reader, words, "Altai").read(WHETHER, SOURCES)
    place = generation.place
    assert generation.verdict == verdict and words in generation.text
    assert SOURCES[place.source].text[place.start : place.end] == generation.text
    assert (place.start, place.end) in sentence_spans(SOURCES[place.source].text)
    assert generation.features["verdict"] == pytest.approx(math.log(sigmoid(2.0)))
    quoted = ranked(reader, words, "Altai").read(WHETHER, SOURCES, QUOTE)
    assert words in quoted.text and quoted.verdict == "", "who asks for the sentence gets the sentence"


def test_where_yes_and_no_are_nearly_as_likely_the_sentence_speaks_for_itself(reader, monkeypatch):
    monkeypatch.setattr(verdicts, "SURE", 2.1)
    generation = ranked(reader, "Altai", "Altai").read(WHETHER, SOURCES)
    assert generation.text == "She came down in the Altai."
    assert generation.verdict == "" and generation.features["verdict"] == 0.0


def test_the_ranker_is_asked_of_what_is_read(reader):
    """A source that is too long for the generator is cut; neither reads its end."""
    long = Source("Vostok 6", "She took off. " + "It flew on and on. " * 400 + "She came down in the Altai.")
    asker = ranked(reader, "took off")
    generation = asker.read("Where did she come down?", [long, *SOURCES])
    assert 0 in generation.cut and generation.features["relevance"] == 50.0
    cut, *whole = asker.ranker.asked
    assert long.text.startswith(cut.text) and len(cut.text) < len(long.text) and cut.title == long.title
    assert whole == list(SOURCES)


def test_without_a_ranker_nothing_is_said_of_it(reader):
    generation = reader.read("Did the ship come down?", SOURCES)
    assert generation.verdict == "" and not {"relevance", "verdict"} & generation.features.keys()
