"""What notebook 03 builds step by step is what rag_lib, Sentence Transformers and transformers compute."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from notebook_definitions import definitions
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.modules import Pooling
from torch.testing import assert_close

from rag_lib.models.weights import load_minilm
from rag_lib.museum.collection import load_articles
from rag_lib.plots import label_apart

chapter = definitions("03_embeddings")
TEXTS = [
    "Titan has lakes of methane.",
    "",
    "Félicette",
    "STS-107, R-7 and TRAPPIST-1",
    "Why is the sky dark at night, if there are stars everywhere? " * 3,
    "moon " * 300,
]


TOKENIZER = load_minilm()[1]
VOCABULARY = TOKENIZER.get_vocab()


@pytest.fixture(scope="module")
def minilm():
    """The chapter's model and tokenizer, put where its functions look for them."""
    model, tokenizer = load_minilm()
    model.set_attn_implementation("eager")
    chapter.encode.__globals__.update(model=model, tokenizer=tokenizer)
    with torch.no_grad():
        yield model, tokenizer


def test_vectors_are_those_of_sentence_transformers_and_rag_lib(minilm, encoder):
    ours = chapter.encode(TEXTS)
    np.testing.assert_allclose(ours, encoder.model.encode(TEXTS, normalize_embeddings=True), atol=1e-5)
    np.testing.assert_allclose(ours, encoder.encode_passages(TEXTS), atol=1e-5)
    np.testing.assert_allclose(ours, encoder.encode_queries(TEXTS), atol=1e-5)


@pytest.mark.parametrize("mode", ["mean", "cls", "max"])
def test_pooling_is_that_of_sentence_transformers(mode):
    states, mask = torch.randn(4, 7, 5), torch.tensor([[1] * n + [0] * (7 - n) for n in (7, 1, 3, 6)])
    features = {"token_embeddings": states.clone(), "attention_mask": mask}
    expected = Pooling(5, mode)(features)["sentence_embedding"]
    ours = chapter.three_pools(states, mask).split(5, dim=1)[["mean", "cls", "max"].index(mode)]
    assert_close(ours, expected)
    states[mask == 0] = 1e6  # padding holds anything
    assert_close(chapter.three_pools(states, mask).split(5, dim=1)[["mean", "cls", "max"].index(mode)], expected)


def test_normalisation_is_torchs():
    v = torch.randn(5, 384)
    assert_close(chapter.normalise(v), torch.nn.functional.normalize(v, dim=1))


@settings(deadline=None)
@given(st.text(st.sampled_from("abcdefgorstu0179"), min_size=1, max_size=25))
def test_any_word_is_cut_as_the_tokenizer_cuts_it(word):
    assert chapter.wordpiece(word, VOCABULARY) == TOKENIZER.tokenize(word)


def test_a_word_with_an_unknown_letter_is_unknown():
    assert chapter.wordpiece("ab", {"a": 0}) == ["[UNK]"]
    assert chapter.wordpiece("ab", {"a": 0, "##b": 1}) == ["a", "##b"]


def test_layer_normalisation_is_torchs():
    x, gamma, beta = torch.randn(3, 8), torch.randn(8), torch.randn(8)
    assert_close(chapter.layer_norm(x, gamma, beta, 1e-12), torch.nn.functional.layer_norm(x, (8,), gamma, beta, 1e-12))


@pytest.mark.parametrize(("layer", "head"), [(0, 0), (3, 1), (5, 11)])
def test_a_heads_weights_are_the_models(minilm, layer, head):
    model, tokenizer = minilm
    batch = tokenizer(["Titan is a cold moon, and it has lakes.", "Laika"], padding=True, return_tensors="pt")
    out = model(**batch, output_hidden_states=True, output_attentions=True)
    for i, mask in enumerate(batch["attention_mask"]):
        scores = chapter.head_scores(out.hidden_states[layer][i], model.encoder.layer[layer].attention.self, head)
        weights = torch.softmax(scores.masked_fill(mask == 0, -torch.inf), dim=1)
        assert_close(weights, out.attentions[layer][i, head], atol=1e-5, rtol=0)


def test_tokens_are_counted_as_rag_lib_counts_them(minilm, encoder):
    texts = [a.text for a in load_articles()[:10]] + TEXTS
    limit = encoder.model.max_seq_length
    assert (chapter.n_tokens(texts) > limit).sum() == encoder.truncated(texts)


@pytest.mark.parametrize("tau", [1.0, 0.2, 0.05])
def test_the_loss_is_multiple_negatives_ranking(tau):
    q, p = (torch.nn.functional.normalize(torch.randn(6, 16), dim=1) for _ in range(2))
    reference = MultipleNegativesRankingLoss(SentenceTransformer(modules=[torch.nn.Identity()]), scale=1 / tau)
    expected = reference.compute_loss_from_embeddings([q, p], labels=None)
    assert_close(chapter.contrastive_loss(q @ p.T, tau), expected)


def test_neighbours_are_the_nearest_others():
    points = np.random.default_rng(0).normal(size=(30, 3))
    for i, near in enumerate(chapter.neighbours(points, 4)):
        distances = np.linalg.norm(points - points[i], axis=1)
        assert i not in near
        assert sorted(distances[near]) == sorted(distances)[1:5]


def test_labels_of_one_place_are_written_one_above_the_other():
    figure, ax = plt.subplots()
    label_apart(ax, [("c", 0.9, 0.5, "red"), ("b", 0.5, 0.5, "red"), ("a", 0.5, 0.499, "red")])
    places = {text.get_text(): text.get_position() for text in ax.texts}
    plt.close(figure)
    assert places["a"] == (0.5, 0.499)  # the lowest stays
    assert places["b"][0] == 0.5 and places["b"][1] > 0.499 + 0.05
    assert places["c"] == (0.9, 0.5)  # nobody is near
