"""What notebook 06 builds step by step is what rag_lib, transformers and PyTorch compute."""

import matplotlib.pyplot as plt
import pytest
import torch
from fakes import END, LONGEST, TINY, inputs, tiny_model
from hypothesis import given, settings
from hypothesis import strategies as st
from notebook_definitions import definitions

from rag_lib.generation import decoding
from rag_lib.generation.constraints import allowed_next
from rag_lib.generation.decoding import Marks, Seq2SeqStep
from rag_lib.plots import draw_beams

each_model = pytest.mark.parametrize(("architecture", "seed"), TINY[::2])  # one of each architecture
CHAPTER = definitions("06_generation", constants=False)


@pytest.fixture(params=["make_step", "CachedStep"])
def make_step(request):
    return getattr(CHAPTER, request.param)


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


@each_model
def test_greedy(architecture, seed, make_step):
    model, (ids, _) = tiny_model(architecture, seed), inputs(2, False)
    expected = decoding.greedy(Seq2SeqStep(model, ids), 2, Marks.of(model), LONGEST).tolist()
    for row, theirs in zip(ids, expected, strict=True):
        ours = CHAPTER.greedy(make_step(model, row[None]), Marks.of(model).start, END, LONGEST)
        assert ours == theirs[: len(ours)] and len(ours) == theirs.index(END) + 1 if END in theirs else ours == theirs


@each_model
@pytest.mark.parametrize("early_stopping", [True, False, "never"])
@pytest.mark.parametrize("alpha", [0.0, 1.0, 2.0])
def test_beam_search(architecture, seed, early_stopping, alpha):
    model, (ids, _) = tiny_model(architecture, seed), inputs(1, False)
    marks = Marks.of(model)
    (expected,) = decoding.beam_search(Seq2SeqStep(model, ids), 1, marks, LONGEST, 3, alpha, early_stopping)
    step = CHAPTER.CachedStep(model, ids)
    ours = CHAPTER.beam_search(step, marks.start, END, LONGEST, 3, alpha, early_stopping)
    assert [tuple(ids) for _, ids in ours] == [h.ids for h in expected]
    assert [score for score, _ in ours] == pytest.approx([h.score for h in expected], abs=1e-4)


@each_model
@pytest.mark.parametrize(("temperature", "k", "p"), [(1.0, None, 1.0), (0.7, 5, 1.0), (1.5, 10, 0.8)])
def test_sampling(architecture, seed, make_step, temperature, k, p):
    model, (ids, _) = tiny_model(architecture, seed), inputs(1, False)
    marks = Marks.of(model)
    torch.manual_seed(seed)
    ours = CHAPTER.sample(make_step(model, ids), marks.start, END, LONGEST, temperature, k, p)
    torch.manual_seed(seed)
    assert [ours] == decoding.sample(Seq2SeqStep(model, ids), 1, marks, LONGEST, temperature, k, p).tolist()


LOGITS = st.lists(st.lists(st.floats(-5, 5), min_size=6, max_size=6, unique=True), min_size=1, max_size=3)


@settings(max_examples=40)
@given(LOGITS, st.integers(1, 8), st.floats(0.05, 0.95))
def test_softmax_and_filters(logits, k, p):
    logits = torch.tensor(logits)
    torch.testing.assert_close(CHAPTER.softmax(100 * logits), (100 * logits).softmax(-1))
    assert torch.equal(CHAPTER.top_k_filter(logits, k), decoding.top_k(logits, k))
    ours, theirs = CHAPTER.nucleus_filter(logits, p).isfinite(), decoding.nucleus(logits, p).isfinite()
    # The two sums are rounded differently: a token exactly on the border may fall on either side.
    border = (logits.sort().values.softmax(-1).cumsum(-1) - (1 - p)).abs().min() < 1e-5
    assert torch.equal(ours, theirs) or border


TEXTS = st.lists(st.lists(st.integers(0, 5), max_size=8), max_size=3)


@given(TEXTS, st.data())
def test_allowed_tokens(texts, data):
    """Pieces 0 and 1 continue a word; the prefix is one that the rule itself allowed, or any."""
    CHAPTER.whole_words.__globals__.update(PIECES={0, 1}, END=9)
    prefix = data.draw(st.lists(st.integers(0, 5), max_size=3))
    assert set(CHAPTER.whole_words(prefix, texts)) == allowed_next(prefix, texts, 9, frozenset({0, 1}))
    prefix = []
    while (token := data.draw(st.sampled_from(CHAPTER.whole_words(prefix, texts)))) != 9:
        prefix.append(token)
    assert CHAPTER.stands_in(prefix, [t for text in texts for t in [*text, -1]]) or not prefix


def test_parts_of_t5():
    t5 = tiny_model("t5", TINY[-1][1])
    norm, x = t5.encoder.block[0].layer[0].layer_norm, torch.randn(5, 16) + 2
    torch.testing.assert_close(CHAPTER.rms_norm(x, norm.weight), norm(x))
    attention, distances = t5.encoder.block[0].layer[0].SelfAttention, torch.arange(-300, 301)
    ours = [CHAPTER.bucket(int(d)) for d in distances]
    assert ours == attention._relative_position_bucket(distances).tolist()


def test_attention():
    bart = tiny_model(*TINY[0])
    layer, x, s = bart.model.decoder.layers[0].encoder_attn, torch.randn(4, 16), torch.randn(7, 16)
    bart.set_attn_implementation("eager")
    _, weights = layer(x[None], key_value_states=s[None])
    bart.set_attn_implementation("sdpa")
    torch.testing.assert_close(CHAPTER.cross_attention(x, s, layer, 2), weights[0], atol=1e-5, rtol=1e-4)


def test_a_cache_of_keys_and_values():
    W_Q, W_K, W_V = torch.randn(3, 16, 16) / 4  # noqa: N806
    CHAPTER.attend_next.__globals__.update(W_Q=W_Q, W_K=W_K, W_V=W_V)
    x = torch.randn(6, 16)
    theirs = torch.nn.functional.scaled_dot_product_attention(x @ W_Q, x @ W_K, x @ W_V, is_causal=True)
    torch.testing.assert_close(CHAPTER.causal_attention(x), theirs, atol=1e-5, rtol=1e-4)
    keys = values = torch.empty(0, 16)
    for token, expected in zip(x, theirs, strict=True):
        ours, keys, values = CHAPTER.attend_next(token, keys, values)
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-4)


def test_the_picture_of_a_beam_search_names_every_continuation():
    level = [(0.55, "<s> the", "goes on"), (0.4, "<s> Laika", "finished"), (0.05, "<s> a", "dropped")]
    figure = draw_beams([level, [(0.5, "<s> the end", "finished")]])
    texts = {text.get_text() for text in figure.axes[0].texts}
    plt.close(figure)
    assert texts >= {"the  0.550", "Laika  0.400", "a  0.050", "end  0.500", "goes on", "finished", "dropped"}
    assert len(figure.axes[0].lines) == 4
