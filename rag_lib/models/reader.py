"""A BART with a second head: where in what it reads the answer stands (taught in notebooks/07_rag_pipeline.ipynb)."""

from __future__ import annotations

import torch
from transformers import BartConfig, BartForConditionalGeneration


class BartReader(BartForConditionalGeneration):
    """BART and an evidence head: two logits a token, that the answer begins and that it ends there.

    This is the head that BERT answers SQuAD with (Devlin et al., 2019), on the states of BART's encoder. It is trained
    together with the decoder and shares all layers of the encoder with it.
    """

    def __init__(self, config: BartConfig) -> None:
        super().__init__(config)
        self.evidence = torch.nn.Linear(config.d_model, 2, bias=False)  # a softmax over tokens would not see a bias
        self.post_init()  # else a model that is built around this one would draw the head anew
