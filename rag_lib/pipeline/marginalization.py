"""Passages as a hidden variable: RAG-Sequence and RAG-Token (taught in notebooks/07_rag_pipeline.ipynb).

Both are of Lewis et al. (2020), "Retrieval-Augmented Generation for Knowledge-Intensive NLP Tasks". A passage z has the
probability p(z | x) for a question x, and the generator reads one passage at a time. RAG-Sequence supposes that one
passage is behind the whole answer y, RAG-Token that each token may come from another:

    p_sequence(y | x) = Σ_z p(z | x) Π_t p(y_t | x, z, y_<t)
    p_token(y | x) = Π_t Σ_z p(z | x) p(y_t | x, z, y_<t)
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from transformers import LogitsProcessor, LogitsProcessorList, PrefixConstrainedLogitsProcessor
from transformers.modeling_outputs import BaseModelOutput

from rag_lib.generation.encoding import token_log_probabilities
from rag_lib.generation.generators import Generation
from rag_lib.generation.jobs import ANSWER
from rag_lib.generation.quotation import Item
from rag_lib.generation.seq2seq import Seq2SeqGenerator, Written
from rag_lib.indexing.documents import Source
from rag_lib.pipeline.rag import RAG, Answer, Found, most_supported, of_passage


def sequence_log_likelihood(token_logs: torch.Tensor, passage_logs: torch.Tensor) -> torch.Tensor:
    """log p_sequence(y | x), (...): the sum over passages is outside the product over tokens.

    Args:
        token_logs: (..., n, T), log p(y_t | x, z, y_<t) of each passage and token; 0 after the end of an answer.
        passage_logs: (..., n), log p(z | x).
    """
    return torch.logsumexp(passage_logs + token_logs.sum(-1), dim=-1)


def marginal_token_logs(token_logs: torch.Tensor, passage_logs: torch.Tensor) -> torch.Tensor:
    """log Σ_z p(z | x) p(y_t | x, z, y_<t), (..., T), of each token. Arguments as above."""
    return torch.logsumexp(passage_logs.unsqueeze(-1) + token_logs, dim=-2)


def token_log_likelihood(token_logs: torch.Tensor, passage_logs: torch.Tensor) -> torch.Tensor:
    """log p_token(y | x), (...): the sum over passages is inside the product over tokens. Arguments as above."""
    return marginal_token_logs(token_logs, passage_logs).sum(-1)


def one_by_one(generator: Seq2SeqGenerator) -> Seq2SeqGenerator:
    """The generator, set to read each passage by itself."""
    apart = copy.copy(generator)
    apart.apart = True
    return apart


def encode(generator: Seq2SeqGenerator, item: Item) -> tuple[torch.Tensor, torch.Tensor]:
    """Encoder states (n, L, d) and attention mask (n, L) of an item's n rows."""
    inputs = generator.tokenizer.pad({"input_ids": item.rows}, padding_side="right", return_tensors="pt")
    ids, mask = (inputs[name].to(generator.model.device) for name in ("input_ids", "attention_mask"))
    return generator.model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state, mask


@torch.inference_mode()
def answer_log_probabilities(
    generator: Seq2SeqGenerator, question: str, sources: Sequence[Source], answers: Sequence[str]
) -> torch.Tensor:
    """log p(y_t | x, z, y_<t), (A, n, T), of the tokens of A answers, the end token among them, under n sources.

    Raises:
        QuestionTooLong: the question leaves no room for a source.
    """
    item = alone(generator, question, sources)
    ids = [generator.tokenizer(text, add_special_tokens=False)["input_ids"] for text in answers]
    return token_log_probabilities(generator.model, encode(generator, item), ids)


def alone(generator: Seq2SeqGenerator, question: str, sources: Sequence[Source]) -> Item:
    """The question laid out with each source by itself, in a row of its own.

    Raises:
        QuestionTooLong: the question leaves no room for a source.
    """
    items = [one_by_one(generator).lay_out(question, [source], ANSWER) for source in sources]
    texts = [text for item in items for text in item.texts]
    prompts = tuple(prompt for item in items for prompt in item.prompts)
    cut = tuple(i for i, item in enumerate(items) if item.cut)
    return Item([row for item in items for row in item.rows], tuple(range(len(sources))), texts, prompts, cut)


class MarginalProcessor(LogitsProcessor):
    """Gives every row the next token's log-probability under all rows: log Σ_z p(z | x) p(y_t | x, z, y_<t).

    One row a passage; the rows then choose the same token, and so stay together until the end.
    """

    def __init__(self, passage_logs: torch.Tensor) -> None:
        self.passage_logs = passage_logs

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """The same logarithms (n, vocabulary) for each of the n rows."""
        logs = self.passage_logs.to(scores.device)[:, None] + scores.log_softmax(-1)
        return torch.logsumexp(logs, dim=0).expand_as(scores)


class MarginalRAG(RAG):
    """What RAG-Sequence and RAG-Token share; the arguments are those of `RAG`, the generator a Seq2SeqGenerator.

    Lewis et al. take p(passage | question) from the dot products of an encoder that was trained for it. Here the
    retriever's temperature turns its scores into probabilities, whatever their scale.
    """

    def stream(self, question: str) -> Iterator[str | Answer]:
        """The answer in one piece, for it is known only when all passages have been read; then the Answer."""
        answer = self.ask(question)
        yield answer.guess
        yield answer

    def passage_logs(self, found: Found) -> torch.Tensor:
        """log p(passage | question), (n,), of the passages found."""
        return torch.as_tensor(self.passage_probabilities(found), dtype=torch.float32).log()


class RAGSequence(MarginalRAG):
    """RAG-Sequence: each passage proposes an answer, and p_sequence chooses.

    Decoding is the paper's "fast" one: a passage that did not propose an answer adds nothing to its probability. With
    `thorough`, each answer proposed is scored with every passage.
    """

    def __init__(self, *args: Any, thorough: bool = False, **options: Any) -> None:
        super().__init__(*args, **options)
        self.thorough = thorough

    def readings(self, found: Found) -> list[list[Source]]:
        """Each passage alone."""
        return [[source] for source in found.sources]

    def combine(self, found: Found, generations: Sequence[Generation]) -> Generation:
        """The answer with the largest p_sequence of those proposed."""
        generations = [of_passage(i, g) for i, g in enumerate(generations)]
        passage_logs = self.passage_logs(found)
        if not self.thorough:
            return most_supported(generations, passage_logs.exp().tolist())
        texts = [g.text for g in generations]
        token_logs = answer_log_probabilities(self.generator, found.question, found.sources, texts)
        logs = sequence_log_likelihood(token_logs, passage_logs)
        best = int(logs.argmax())
        return replace(generations[best], score=float(logs[best].exp()))


class RAGToken(MarginalRAG):
    """RAG-Token: one answer, whose every token is chosen greedily by its probability under all passages.

    The score is p_token.
    """

    def readings(self, found: Found) -> list[list[Source]]:
        """None: all passages take part in every token."""
        return []

    @torch.inference_mode()
    def combine(self, found: Found, generations: Sequence[Generation]) -> Generation:
        """The answer written token by token."""
        generator = self.generator
        item = alone(generator, found.question, found.sources)
        states, mask = encoded = encode(generator, item)
        passage_logs = self.passage_logs(found)
        processors = LogitsProcessorList([MarginalProcessor(passage_logs)])
        if (constraint := generator.constraint([item], ANSWER)) is not None:
            processors.append(PrefixConstrainedLogitsProcessor(constraint, num_beams=len(states)))
        ids = generator.model.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=states),
            attention_mask=mask,
            num_beams=1,
            do_sample=False,
            max_new_tokens=generator.decoding.max_new_tokens or ANSWER.max_new_tokens,
            logits_processor=processors,
        )[0, 1:].tolist()
        written = ids[: ids.index(end)] if (end := generator.model.config.eos_token_id) in ids else ids
        logs = marginal_token_logs(token_log_probabilities(generator.model, encoded, [written])[0], passage_logs)
        return generator.finish(
            found.question, found.sources, item, Written(written, tuple(logs.tolist()), 1.0), ANSWER
        )
