"""DPR, rerankers and fused rankings, against the trusted implementation of each."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from contracts import RerankerContract, RetrieverContract
from fakes import adapted
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from sentence_transformers.util import maxsim
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DPRConfig,
    DPRContextEncoder,
    DPRQuestionEncoder,
)

from rag_lib.hits import Hit
from rag_lib.indexing.documents import Passage
from rag_lib.models import weights
from rag_lib.models.adapters import adapter_weights
from rag_lib.models.weights import ModelUnavailable, load_minilm, save_adapter
from rag_lib.retrieval.base import passage_probabilities
from rag_lib.retrieval.catalogue import RETRIEVERS, make_retriever
from rag_lib.retrieval.cross_encoder import CrossEncoder
from rag_lib.retrieval.dpr import DPREncoder, DPRRetriever, passage_vectors
from rag_lib.retrieval.fusion import MinMaxFusion, ReciprocalRankFusion
from rag_lib.retrieval.rerankers import (
    CrossEncoderReranker,
    EnsembleReranker,
    MaxSimReranker,
    fair_scores,
    without_question,
)
from rag_lib.retrieval.retrievers import RerankedRetriever

QUERY = "Where are lakes of methane?"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RAG_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def dpr():
    return DPREncoder()


@pytest.fixture(scope="module")
def passages(knowledge):
    return list(knowledge.passages.values())


@pytest.fixture(scope="module")
def cross_encoder(tmp_path_factory):
    """A folder with a small random cross-encoder, laid out as one from the hub."""
    return save_classifier(tmp_path_factory.mktemp("cross-encoder"), labels=1)


def save_classifier(folder, labels: int):
    torch.manual_seed(0)
    _, tokenizer = load_minilm()
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        num_labels=labels,
        initializer_range=0.5,  # so that the scores of different passages lie well apart
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_dprs_vectors_are_the_first_tokens_of_two_berts(dpr, passages):
    bert, tokenizer = load_minilm()
    with torch.inference_mode():
        question = bert(**tokenizer([QUERY], return_tensors="pt")).last_hidden_state[:, 0]
        pair = tokenizer([passages[0].title], [passages[0].text], return_tensors="pt")
        passage = bert(**pair).last_hidden_state[:, 0]
    assert tokenizer.decode(pair["input_ids"][0]).count("[SEP]") == 2
    np.testing.assert_allclose(dpr.encode_questions([QUERY]), question.numpy(), atol=1e-4)
    np.testing.assert_allclose(dpr.encode_passages(passages[:1]), passage.numpy(), atol=1e-4)


def test_dprs_two_encoders_are_trained_apart(dpr, passages):
    other = DPREncoder()
    with torch.no_grad():
        next(other.question.parameters()).mul_(1.5)
    assert not np.allclose(other.encode_questions([QUERY]), dpr.encode_questions([QUERY]))
    np.testing.assert_allclose(other.encode_passages(passages), dpr.encode_passages(passages), atol=1e-5)
    assert other.fingerprint() == dpr.fingerprint(), "the passages' vectors are still good"
    with torch.no_grad():
        next(other.passage.parameters()).mul_(1.5)
    assert other.fingerprint() != dpr.fingerprint()


def test_dpr_ranks_by_the_dot_product(dpr, knowledge):
    retriever = DPRRetriever(knowledge.passages, dpr)
    hits = retriever.retrieve(QUERY, 3)
    scores = dpr.encode_questions([QUERY])[0] @ dpr.encode_passages(list(knowledge.passages.values())).T
    expected = sorted(zip(knowledge.passages, scores.tolist(), strict=True), key=lambda pair: -pair[1])[:3]
    assert [h.id for h in hits] == [i for i, _ in expected]
    assert [h.score for h in hits] == pytest.approx([s for _, s in expected], abs=1e-3)
    norms = np.linalg.norm(retriever.vectors, axis=1)
    assert norms.max() - norms.min() > 1e-3, "a cosine would be another score"


def test_dpr_is_read_by_name_as_the_hub_lays_it_out(tmp_path, passages):
    torch.manual_seed(0)
    _, tokenizer = load_minilm()
    config = DPRConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    for name, tower in (("question", DPRQuestionEncoder), ("passage", DPRContextEncoder)):
        tower(config).save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
    encoder = DPREncoder(str(tmp_path / "question"), str(tmp_path / "passage"))
    assert encoder.encode_questions([QUERY]).shape == (1, 16)
    assert encoder.tokenizer("a [SEP] b")["input_ids"].count(tokenizer.sep_token_id) == 1, "marks in a text are text"
    assert encoder.encode_passages(passages).shape == (len(passages), 16)
    with pytest.raises(ValueError, match="a pair"):
        DPREncoder("facebook/dpr-question_encoder-single-nq-base")
    with pytest.raises(ModelUnavailable, match="nobody/nothing is not on this machine"):
        DPREncoder("nobody/nothing", str(tmp_path / "passage"))


def test_dprs_vectors_are_kept_until_something_changes(dpr, passages, monkeypatch):
    first = passage_vectors(dpr, passages)
    monkeypatch.setattr(dpr, "encode_passages", lambda *_: pytest.fail("embedded again"))
    np.testing.assert_array_equal(passage_vectors(dpr, passages), first)


def test_dprs_damaged_cache_is_made_again(dpr, passages, tmp_path):
    first = passage_vectors(dpr, passages)
    (path,) = (tmp_path / "cache" / "dpr").iterdir()
    path.write_bytes(path.read_bytes()[:100])
    np.testing.assert_array_equal(passage_vectors(dpr, passages), first)


def test_maxsim_equals_sentence_transformers(encoder, passages):
    reranker = MaxSimReranker(encoder)
    (query,) = encoder.encode_query_tokens([QUERY])
    texts = [f"{p.title}. {p.text}" for p in passages]
    documents = [torch.tensor(v) for v in encoder.encode_passage_tokens(texts)]
    expected = maxsim([torch.tensor(query)], documents)[0] / len(query)
    np.testing.assert_allclose(reranker.scores(QUERY, passages), expected.numpy(), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(query, axis=1), 1, atol=1e-5)


def test_maxsim_of_a_text_with_itself_is_one(encoder, passages):
    text = f"{passages[0].title}. {passages[0].text}"
    assert MaxSimReranker(encoder).scores(text, passages)[0] == pytest.approx(1, abs=1e-4)


def test_the_cross_encoders_scores_are_the_models_logits(cross_encoder, passages):
    model = BertForSequenceClassification.from_pretrained(cross_encoder).eval()
    _, tokenizer = load_minilm()
    texts = [f"{p.title}. {p.text}" for p in passages]
    with torch.inference_mode():
        inputs = tokenizer([QUERY] * len(texts), texts, padding=True, return_tensors="pt")
        expected = model(**inputs).logits[:, 0].numpy()
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(CrossEncoderReranker(str(cross_encoder)).scores(QUERY, passages), expected, atol=1e-4)


def test_marks_in_a_text_are_text_for_a_published_cross_encoder(cross_encoder):
    tokenizer = CrossEncoderReranker(str(cross_encoder)).model.tokenizer
    assert tokenizer("a [SEP] b", "[CLS] c")["input_ids"].count(tokenizer.sep_token_id) == 2


def test_a_model_that_is_no_cross_encoder_is_refused(tmp_path):
    with pytest.raises(ModelUnavailable, match="gives 3 scores"):
        CrossEncoderReranker(str(save_classifier(tmp_path, labels=3)))
    with pytest.raises(ModelUnavailable, match="nobody/nothing is not on this machine"):
        CrossEncoderReranker("nobody/nothing")


class TestMaxSimReranker(RerankerContract):
    @pytest.fixture
    def reranker(self, encoder):
        return MaxSimReranker(encoder)


class TestCrossEncoderReranker(RerankerContract):
    @pytest.fixture
    def reranker(self, cross_encoder):
        return CrossEncoderReranker(str(cross_encoder))


@pytest.fixture(scope="module")
def museum(tmp_path_factory):
    """A folder with differences that nobody trained, laid out as the museum's."""
    folder = tmp_path_factory.mktemp("models")
    towers, reranker = DPREncoder(), CrossEncoder()
    for seed, (name, tower) in enumerate((("question", towers.question), ("passage", towers.passage))):
        save_adapter(adapter_weights(adapted(tower, seed)), folder / "dpr" / name)
    adapted(reranker.bert)
    torch.nn.init.normal_(reranker.head.weight)
    reranker.save(folder / "cross-encoder")
    return folder


class TestEnsembleReranker(RerankerContract):
    @pytest.fixture
    def reranker(self, encoder):
        words = SimpleNamespace(
            temperature=2.0, scores=lambda query, passages: np.array([len(p.text) for p in passages])
        )
        return EnsembleReranker([(MaxSimReranker(encoder), 1.0), (words, 0.5)])

    def test_it_adds_what_its_members_say_by_weight_and_temperature(self, reranker, knowledge):
        passages = list(knowledge.passages.values())
        (first, _), (second, _) = reranker.members
        expected = first.scores(QUERY, passages) / first.temperature + 0.5 * second.scores(QUERY, passages) / 2
        np.testing.assert_allclose(reranker.scores(QUERY, passages), expected, rtol=1e-6)


@pytest.mark.parametrize("name", RETRIEVERS)
class TestRetrieverByName(RetrieverContract):
    @pytest.fixture
    def retriever(self, name, knowledge, encoder, museum, monkeypatch):
        monkeypatch.setattr(weights, "MUSEUM_CROSS_ENCODER", museum / "cross-encoder")
        monkeypatch.setattr(weights, "MUSEUM_DPR", museum / "dpr")
        return make_retriever(name, knowledge, encoder)


def test_what_was_trained_on_the_museum_is_said_to_be_missing_in_one_line(knowledge, encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "MUSEUM_CROSS_ENCODER", tmp_path / "nowhere")
    monkeypatch.setattr(weights, "MUSEUM_DPR", tmp_path / "nowhere")
    for name in ("cross-encoder", "ensemble", "dpr"):
        with pytest.raises(ModelUnavailable, match=r"^the model [^\n]*nowhere[^\n]*$"):
            make_retriever(name, knowledge, encoder)


def test_dprs_differences_are_two_and_come_back_as_they_were_saved(dpr, museum, passages):
    towers, loaded = DPREncoder(), DPREncoder(f"{museum}/dpr/question", f"{museum}/dpr/passage")
    adapted(towers.question, 0)
    adapted(towers.passage, 1)
    for encode, texts in (("encode_questions", [QUERY]), ("encode_passages", passages)):
        vectors = getattr(loaded, encode)(texts)
        np.testing.assert_allclose(vectors, getattr(towers, encode)(texts), atol=0.05)  # saved in float16
        assert not np.allclose(vectors, getattr(dpr, encode)(texts), atol=0.5)


def test_a_cross_encoder_is_a_retriever_by_its_folder_and_a_published_one_by_its_name(knowledge, encoder, museum):
    found = make_retriever(str(museum / "cross-encoder"), knowledge, encoder).retrieve(QUERY, 4)
    hybrid = make_retriever("hybrid", knowledge, encoder)
    model = CrossEncoder.load(museum / "cross-encoder")
    assert found == RerankedRetriever(hybrid, model, knowledge.passages).retrieve(QUERY, 4)
    with pytest.raises(ModelUnavailable, match="cross-encoder/nothing is not on this machine"):
        make_retriever("cross-encoder/nothing", knowledge, encoder)


class TestRerankedByACrossEncoder(RetrieverContract):
    @pytest.fixture
    def retriever(self, cross_encoder, knowledge, encoder):
        first = make_retriever("dense", knowledge, encoder)
        return RerankedRetriever(first, CrossEncoderReranker(str(cross_encoder)), knowledge.passages)


def test_a_trained_dpr_is_a_retriever_by_its_folder(dpr, knowledge, encoder, tmp_path):
    for name, tower in (("question", dpr.question), ("passage", dpr.passage)):
        tower.save_pretrained(tmp_path / name)
        dpr.tokenizer.save_pretrained(tmp_path / name)
    expected = DPRRetriever(knowledge.passages, dpr).retrieve(QUERY, 3)
    found = make_retriever(str(tmp_path), knowledge, encoder).retrieve(QUERY, 3)
    assert [h.id for h in found] == [h.id for h in expected]
    with pytest.raises(ValueError, match="no retriever is called"):
        make_retriever(str(tmp_path / "question"), knowledge, encoder)


def test_a_temperature_belongs_to_its_scale():
    """Scores and temperature stretched alike say the same; the softmax is SciPy's."""
    hits = [Hit("a", 0.8), Hit("b", 0.7), Hit("c", 0.1)]
    ours = passage_probabilities(hits, 0.05)
    np.testing.assert_allclose(ours, softmax([h.score / 0.05 for h in hits]))
    np.testing.assert_allclose(ours, passage_probabilities([Hit(h.id, 7 * h.score) for h in hits], 0.35))
    assert passage_probabilities([], 1.0).shape == (0,)
    assert passage_probabilities([Hit("a", 5000.0), Hit("b", -5000.0)], 1.0).tolist() == [1.0, 0.0]


RANKING = st.lists(st.sampled_from("abcdefgh"), unique=True, min_size=1).map(
    lambda ids: [Hit(i, 10.0 - rank) for rank, i in enumerate(ids)]
)


@pytest.mark.parametrize("fuse", [ReciprocalRankFusion(), MinMaxFusion()])
@given(a=RANKING, b=RANKING)
def test_fusion_is_symmetric_complete_and_agrees_with_itself(fuse, a, b):
    fused = fuse([a, b], 8)
    assert [(h.id, pytest.approx(h.score)) for h in fused] == [tuple(h) for h in fuse([b, a], 8)]
    assert {h.id for h in fused} == {h.id for h in a} | {h.id for h in b}
    assert [h.id for h in fuse([a, a], 8)] == [h.id for h in a]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Who flew first? Gagarin.", " Gagarin."),
        ("who FLEW,\nfirst: who flew first? Titov", "  Titov"),
        ("Gagarin flew first.", "Gagarin flew first."),
        ("Who flew firstly?", "Who flew firstly?"),
    ],
)
def test_a_question_is_taken_out_where_it_is_repeated(text, left):
    assert without_question(text, "Who flew first?") == left
    assert without_question(text, "Who flew?") == text, "two words are repeated by chance"


class WordsInCommon:
    """Scores by the number of the query's words in title and text."""

    temperature = 1.0

    def scores(self, query, passages):
        return np.array([float(sum(w in f"{p.title} {p.text}" for w in query.rstrip("?").split())) for p in passages])


def test_a_passage_that_repeats_the_question_does_not_win_by_that():
    query = "Who flew to space first?"
    texts = ["Gagarin flew first", "Who flew to space first? Titov", "Soup", "Who flew to space first? He flew"]
    passages = [Passage(str(i), str(i), "", text, 0, len(text)) for i, text in enumerate(texts)]
    plain, fair = WordsInCommon().scores(query, passages), fair_scores(WordsInCommon(), query, passages)
    assert plain.argmax() in (1, 3) and fair.argmax() == 0, "the echo is ahead only as far as others let it"
    assert fair[1] == pytest.approx(fair[0]) and fair[1] < fair[0] and list(fair[[0, 2]]) == list(plain[[0, 2]])
    titled = [Passage("t", "t", query, "Titov", 0, 5), passages[0]]
    assert fair_scores(WordsInCommon(), query, titled).argmax() == 1, "nor does one that is headed by it"


def test_a_list_of_questions_is_still_found():
    query = "Can I bring my dog?"
    passages = [Passage(str(i), str(i), "", text, 0, len(text)) for i, text in enumerate([f"{query} No.", "Soup"])]
    assert fair_scores(WordsInCommon(), query, passages)[0] == pytest.approx(0.0), "level with the best of the others"
    assert fair_scores(WordsInCommon(), query, passages[:1])[0] == 0.0
