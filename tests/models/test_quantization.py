import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rag_lib.models.quantization import SCALE, dequantized, quantized


@given(st.integers(1, 5), st.integers(1, 7), st.integers(0, 99), st.sampled_from([1e-3, 1.0, 50.0]))
def test_nothing_is_off_by_more_than_half_a_step(m, n, seed, size):
    w = torch.randn(m, n, generator=torch.Generator().manual_seed(seed)) * size
    stored = quantized({"w": w})
    assert stored["w"].dtype == torch.int8 and stored["w"].abs().max() <= 127
    step = stored["w" + SCALE][:, None]
    assert ((dequantized(stored)["w"] - w).abs() <= 0.5001 * step).all()


def test_only_matrices_are_rounded():
    bias = torch.tensor([0.1, 2.0])
    assert torch.equal(dequantized(quantized({"b": bias}))["b"], bias.half().float())
    assert torch.equal(dequantized(quantized({"w": torch.zeros(2, 3)}))["w"], torch.zeros(2, 3))
    assert torch.equal(dequantized({"w": torch.ones(2, 3).half()})["w"], torch.ones(2, 3)), "weights in float16 load"


def test_a_lost_scale_is_noticed():
    stored = quantized({"w": torch.ones(2, 3)})
    del stored["w" + SCALE]
    with pytest.raises(KeyError):
        dequantized(stored)
