"""A decoder-only chat model as a generator: it replies in sentences of its own, and cites the passages by number."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    NoRepeatNGramLogitsProcessor,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.generation.streamers import BaseStreamer

from rag_lib.generation.chat_prompts import BUNDLED_DEFENCE, NO_ANSWER, PromptDefence, build_chat_prompt, token_ids
from rag_lib.generation.citations import OPEN_MARK, place_of, with_valid_marks, without_marks
from rag_lib.generation.generators import Decoding, Generation, Token
from rag_lib.generation.jobs import QUOTING, REPLY, REWRITE, SUMMARIZE, Job
from rag_lib.generation.prompts import Prompt
from rag_lib.generation.streaming import tokens_of
from rag_lib.indexing.documents import Source
from rag_lib.models.chat import in_bfloat16, load_chat
from rag_lib.models.processor import computes_in_half

MOST_TOKENS = 2048  # of a prompt: more than this takes too long on a laptop
LOOP = 8  # so many tokens in a row are not written twice


class NoLoops(LogitsProcessor):
    """Forbids a reply to repeat `LOOP` of its own tokens; those of the prompt, before `start`, may be quoted."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.guard = NoRepeatNGramLogitsProcessor(LOOP)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores (B, V) after the ids (B, n), minus infinity for what would repeat."""
        return self.guard(input_ids[:, self.start :], scores)


class Row(NamedTuple):
    """A prompt, its token ids, and the job it is for."""

    prompt: Prompt
    ids: list[int]
    job: Job


class ChatGenerator:
    """A chat model of the transformers library, bundled or by name.

    It has no constraint: it may say anything. Its score is the geometric mean of its tokens' probabilities, for their
    product would above all say how long a reply is; of a refusal it is what that leaves to 1, so that a sure refusal
    scores near 0.
    """

    votes = False

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        decoding: Decoding | None = None,
        most_tokens: int = MOST_TOKENS,
        batch_size: int = 8,
        defence: PromptDefence = BUNDLED_DEFENCE,
    ) -> None:
        self.defence = defence
        self.decoding = decoding or Decoding()
        half = computes_in_half() if self.decoding.half is None else self.decoding.half
        self.model = in_bfloat16(model) if half else model
        self.tokenizer = tokenizer
        self.most_tokens = most_tokens
        self.batch_size = batch_size
        self.threshold = getattr(model.config, "answer_threshold", 0.0)
        ends = model.generation_config.eos_token_id
        self.ends = {tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])} - {None}
        self.pad = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id

    @classmethod
    def load(cls, name: str | None = None, decoding: Decoding | None = None) -> ChatGenerator:
        """The bundled chat model, or one by its hub name or folder.

        Raises:
            ModelUnavailable: it cannot be had, or is no chat model.
        """
        return cls(*load_chat(name), decoding)

    def generate(
        self,
        questions: Sequence[str],
        sources: Sequence[Sequence[Source]],
        job: Job = REPLY,
        source_logs: Sequence[Sequence[float]] | None = None,
    ) -> list[Generation]:
        """See `Generator.generate`. Marks ("[1]") are left in replies and summaries, which are sentences.

        Raises:
            QuestionTooLong: with a question no source fits into the model's input.
        """
        if len(questions) != len(sources):
            raise ValueError(f"{len(questions)} questions for {len(sources)} lists of sources")
        rows = [self.lay_out(q, s, job) for q, s in zip(questions, sources, strict=True)]
        order = sorted(range(len(rows)), key=lambda i: len(rows[i].ids))  # like lengths: less padding
        done: dict[int, Generation] = {}
        for i in range(0, len(order), self.batch_size):
            chunk = order[i : i + self.batch_size]
            for j, written in zip(chunk, self.decode([rows[j] for j in chunk]), strict=True):
                done[j] = self.finish(rows[j], sources[j], *written)
        return [done[i] for i in range(len(rows))]

    def lay_out(self, question: str, sources: Sequence[Source], job: Job) -> Row:
        """What the model reads."""
        positions = getattr(self.model.config, "max_position_embeddings", None) or self.most_tokens
        budget = min(self.most_tokens, positions - self.longest(job))
        prompt = build_chat_prompt(question, sources, self.tokenizer, budget, job, self.defence)
        return Row(prompt, token_ids(prompt.text, self.tokenizer), job)

    def longest(self, job: Job) -> int:
        """The most tokens that are written."""
        return self.decoding.max_new_tokens or job.max_new_tokens

    @torch.inference_mode()
    def decode(self, rows: Sequence[Row], streamer: BaseStreamer | None = None) -> list[tuple[list[int], list[float]]]:
        """For each row, all of one job, the tokens written, the end among them, and their log-probabilities.

        A `streamer` is told each token, and then the search is greedy.
        """
        width = max(len(row.ids) for row in rows)
        padded = [[self.pad] * (width - len(row.ids)) + row.ids for row in rows]  # on the left: all go on at one place
        mask = [[0] * (width - len(row.ids)) + [1] * len(row.ids) for row in rows]
        output = self.model.generate(
            torch.tensor(padded, device=self.model.device),
            attention_mask=torch.tensor(mask, device=self.model.device),
            generation_config=self.settings(rows[0].job, streamer is not None),
            logits_processor=LogitsProcessorList([NoLoops(width)]),
            streamer=streamer,
        )
        logs = self.model.compute_transition_scores(
            output.sequences, output.scores, output.get("beam_indices"), normalize_logits=True
        )
        written = zip(output.sequences[:, width:].tolist(), logs.tolist(), strict=True)
        return [self.until_end(ids, log) for ids, log in written]

    def settings(self, job: Job, greedy: bool) -> GenerationConfig:
        """How to search. All is said, so that nothing is taken from the settings that a model brings, as sampling."""
        return GenerationConfig(
            num_beams=1 if greedy else self.decoding.beams,
            do_sample=False,
            temperature=1.0,
            top_p=1.0,
            top_k=50,
            repetition_penalty=1.0,
            max_new_tokens=self.longest(job),
            eos_token_id=sorted(self.ends),
            pad_token_id=self.pad,
            return_dict_in_generate=True,
            output_scores=True,
        )

    def until_end(self, ids: list[int], logs: list[float]) -> tuple[list[int], list[float]]:
        """Tokens and log-probabilities without what fills a row up after its end."""
        n = next((i for i, token in enumerate(ids) if token in self.ends), len(ids) - 1) + 1
        return ids[:n], logs[:n]

    def finish(self, row: Row, sources: Sequence[Source], ids: list[int], logs: list[float]) -> Generation:
        """Tokens as text with its place."""
        prompt, score = row.prompt, math.exp(sum(logs) / len(logs))
        tokens = tuple(Token(self.tokenizer.decode([i]), math.exp(log)) for i, log in zip(ids, logs, strict=True))
        text = self.text(ids, row)
        if row.job in QUOTING and is_refusal(text):
            return Generation("", 1.0 - score, None, prompt.used, tokens, (prompt,))
        place = None
        if row.job in QUOTING:
            place = place_of(text, sources, prompt.used, prompt.question)
        shown = text if row.job in (REPLY, SUMMARIZE) else without_marks(text)
        return Generation(shown, score, place, prompt.used, tokens, (prompt,))

    def text(self, ids: Sequence[int], row: Row) -> str:
        """Tokens as text, with such marks as name a passage that was read."""
        text = self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return with_valid_marks(text, 0 if row.job is REWRITE else len(row.prompt.used))

    def stream(
        self, question: str, sources: Sequence[Source], source_logs: Sequence[float] | None = None
    ) -> Iterator[str | Generation]:
        """See `Generator.stream`: a reply, written greedily, word by word.

        Raises:
            QuestionTooLong: with the question no source fits into the model's input.
        """
        row, ids, shown = self.lay_out(question, sources, REPLY), [], ""
        with tokens_of(lambda streamer: self.decode([row], streamer)) as (tokens, result):
            for token in tokens:
                ids.append(token)
                text = settled(self.text(ids, row))
                if len(text) > len(shown):
                    yield text[len(shown) :]
                    shown = text
            ((ids, logs),) = result()
        generation = self.finish(row, sources, ids, logs)
        if generation.text != shown:
            yield generation.text[len(shown) :]
        yield generation


def is_refusal(text: str) -> bool:
    """Whether a reply is, or begins with, the sentence for a question without an answer."""
    said, refusal = without_marks(text).casefold(), NO_ANSWER.casefold()
    return said.startswith(refusal) or said == refusal.rstrip(".")


def settled(text: str) -> str:
    """So much of a reply as no later token can change: whole words, and nothing while it may yet be a refusal."""
    whole = OPEN_MARK.sub("", text[: max(text.rfind(" "), text.rfind("\n"), 0)]).rstrip()
    said = without_marks(whole).casefold()
    return "" if is_refusal(whole) or NO_ANSWER.casefold().startswith(said) else whole
