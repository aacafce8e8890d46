"""An encoder–decoder of the transformers library as a generator (taught in notebooks/06_generation.ipynb)."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.generation.streamers import BaseStreamer
from transformers.modeling_outputs import BaseModelOutput

from rag_lib.generation.casing import restore_case
from rag_lib.generation.constraints import PassageConstraint, SentenceConstraint, continuation_pieces, empty_words
from rag_lib.generation.encoding import encode_apart
from rag_lib.generation.generators import Decoding, Generation, Place, Token, check_sources
from rag_lib.generation.jobs import ANSWER, QUOTE, Job
from rag_lib.generation.prompts import BUNDLED, PromptFormat, build_prompt, cut_to_fit, format_for
from rag_lib.generation.quotation import Item, best_supported, occurrences, tokenize, whole_sentences
from rag_lib.generation.streaming import common_start, tokens_of
from rag_lib.indexing.documents import Source
from rag_lib.models.processor import computes_in_half
from rag_lib.models.weights import is_bundled, load_generator

POSITIONS = 512  # of models that name no limit of their own (T5)


class Written(NamedTuple):
    """What was decoded for an item.

    Attributes:
        ids: the tokens written; logs: the logarithm of each one's probability among those allowed.
        possible: the probability that there is something to write at all.
        others: what further beams wrote, best first.
    """

    ids: list[int]
    logs: tuple[float, ...]
    possible: float
    others: tuple[list[int], ...] = ()


class Seq2SeqGenerator:
    """An encoder–decoder of the transformers library: BART or T5, bundled or by name."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        decoding: Decoding | None = None,
        form: PromptFormat = BUNDLED,
        batch_size: int = 16,
    ) -> None:
        self.decoding = decoding or Decoding()
        half = computes_in_half() if self.decoding.half is None else self.decoding.half
        self.model = copy.deepcopy(model).bfloat16() if half else model
        self.tokenizer = tokenizer
        self.form = form
        self.batch_size = batch_size
        self.budget = getattr(model.config, "max_position_embeddings", None) or POSITIONS
        self.apart = self.votes = form.apart if self.decoding.apart is None else self.decoding.apart
        # Other tokenizers spell a word one way at the start of a text and another way inside: no constraint for them.
        self.pieces = continuation_pieces(tokenizer)
        self.empty = empty_words(tokenizer)
        self.threshold = getattr(model.config, "answer_threshold", 0.0)
        self.no_answer = tokenizer.mask_token_id if form is BUNDLED else None
        self.lower_case = bool(getattr(tokenizer, "do_lower_case", False))

    @classmethod
    def load(cls, name: str | None = None, decoding: Decoding | None = None) -> Seq2SeqGenerator:
        """The bundled generator, or a model by its hub name or folder.

        Raises:
            ModelUnavailable: it cannot be had.
        """
        model, tokenizer = load_generator(name)
        form = BUNDLED if is_bundled(name) else format_for(name, model.config.model_type)
        return cls(model, tokenizer, decoding, form)

    def generate(
        self,
        questions: Sequence[str],
        sources: Sequence[Sequence[Source]],
        job: Job = ANSWER,
        source_logs: Sequence[Sequence[float]] | None = None,
    ) -> list[Generation]:
        """See `Generator.generate`.

        Raises:
            TypeError: the questions are no texts, or the sources no lists of sources.
            QuestionTooLong: a question leaves no room for a source.
        """
        questions = check_sources(questions, sources)
        items = [self.lay_out(q, s, job) for q, s in zip(questions, sources, strict=True)]
        order = sorted(range(len(items)), key=lambda i: sum(map(len, items[i].rows)))  # like lengths: less padding
        done: dict[int, Generation] = {}
        for i in range(0, len(order), self.batch_size):
            chunk = order[i : i + self.batch_size]
            for j, written in zip(chunk, self.decode([items[j] for j in chunk], job), strict=True):
                done[j] = self.finish(questions[j], sources[j], items[j], written, job)
        return [done[i] for i in range(len(items))]

    def lay_out(self, question: str, sources: Sequence[Source], job: Job) -> Item:
        """The rows that the model reads: one a source where sources are read apart, else one for all."""
        rows, prompts, used = [], [], []
        as_read = [cut_to_fit(question, s, self.tokenizer, self.budget, job, self.form) for s in sources]
        fitting = [i for i, source in enumerate(as_read) if source is not None]
        for group in [[i] for i in fitting] if self.apart and fitting else [fitting or range(len(sources))]:
            chosen = [as_read[i] or sources[i] for i in group]
            prompt = build_prompt(question, chosen, self.tokenizer, self.budget, job, self.form)
            rows.append(self.tokenizer(prompt.text, verbose=False)["input_ids"])
            prompts.append(prompt)
            used += [group[i] for i in prompt.used]
        texts = [tokenize(as_read[i].text, self.tokenizer) for i in used]
        cut = tuple(i for i in used if as_read[i] != sources[i])
        labels = tuple(self.label_length(as_read[i]) for i in used)
        return Item(rows, tuple(used), texts, tuple(prompts), cut, labels)

    def label_length(self, source: Source) -> int:
        """The number of tokens that introduce a source's text: its title, and the words around it."""
        label = self.form.source.format(title=source.title, text="")
        return len(self.tokenizer(label, add_special_tokens=False, verbose=False)["input_ids"])

    def constraint(self, items: Sequence[Item], job: Job) -> PassageConstraint | SentenceConstraint | None:
        """What the job's tokens are held to, if to anything."""
        if not (self.decoding.constrained and self.form.copies and self.pieces and all(item.texts for item in items)):
            return None
        end = self.model.config.eos_token_id
        if job.sentences:
            sentences = [[[t.ids[i] for i in s] for t in item.texts for s in t.sentences] for item in items]
            return SentenceConstraint(sentences, end, job.sentences)
        return PassageConstraint([[t.ids for t in item.texts] for item in items], end, self.pieces, self.empty)

    @torch.inference_mode()
    def decode(self, items: Sequence[Item], job: Job, streamer: BaseStreamer | None = None) -> list[Written]:
        """What the model writes for each item; a `streamer` is told each token, and then the search is greedy."""
        rows = [row for item in items for row in item.rows]
        inputs = self.tokenizer.pad({"input_ids": rows}, padding_side="right", return_tensors="pt")
        owners = [i for i, item in enumerate(items) for _ in item.rows]
        ids, mask = (inputs[k].to(self.model.device) for k in ("input_ids", "attention_mask"))
        states, mask = encode_apart(self.model, ids, mask, owners, self.batch_size)
        constraint = self.constraint(items, job)
        naming = constraint is not None and job.names > 0
        beams = max(self.decoding.beams, job.beams if naming else 1) if streamer is None else 1
        kept = beams if naming else 1
        output = self.model.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=states),
            attention_mask=mask,
            num_beams=beams,
            num_return_sequences=kept,
            do_sample=False,
            max_new_tokens=self.decoding.max_new_tokens or job.max_new_tokens,
            no_repeat_ngram_size=0 if constraint or job in (ANSWER, QUOTE) else 4,
            prefix_allowed_tokens_fn=constraint,
            return_dict_in_generate=True,
            output_scores=True,
            output_logits=True,
            streamer=streamer,
        )
        logs = self.model.compute_transition_scores(
            output.sequences, output.scores, output.get("beam_indices"), normalize_logits=True
        )
        logs = logs.masked_fill(logs.isinf() | logs.isnan(), 0.0)[::kept]
        possible = torch.ones(len(items))
        if constraint is not None and self.no_answer is not None and job.may_be_missing:
            possible = self.possible(output.logits[0][::beams], constraint)
        ids = output.sequences[:, 1:].tolist()
        beams_of = [ids[i * kept : (i + 1) * kept] for i in range(len(items))]
        return [
            Written(first, tuple(log.tolist()), float(p), tuple(others))
            for (first, *others), log, p in zip(beams_of, logs, possible, strict=True)
        ]

    def possible(self, logits: torch.Tensor, constraint: PassageConstraint) -> torch.Tensor:
        """The probability (B,) that there is something to copy, from the first step's logits (B, vocabulary)."""
        start = torch.tensor([self.model.config.decoder_start_token_id])
        odds = [
            row[constraint(i, start)].logsumexp(0) - row[self.no_answer] for i, row in enumerate(logits.float().cpu())
        ]
        return torch.stack(odds).sigmoid().to(logits.device)

    def finish(self, question: str, sources: Sequence[Source], item: Item, written: Written, job: Job) -> Generation:
        """Tokens as text, with their probabilities."""
        text, place = self.spell(question, sources, item, written, job)
        end = self.model.config.eos_token_id
        ids = written.ids[: written.ids.index(end) + 1] if end in written.ids else written.ids
        probabilities = [math.exp(log) for log in written.logs]
        tokens = zip(self.tokenizer.convert_ids_to_tokens(ids), probabilities, strict=False)  # beams pad the ids
        score = math.exp(sum(written.logs)) * written.possible
        return Generation(text, score, place, item.used, tuple(Token(*t) for t in tokens), item.prompts, item.cut)

    def spell(
        self, question: str, sources: Sequence[Source], item: Item, written: Written, job: Job
    ) -> tuple[str, Place | None]:
        """A quotation as its passage writes it, and its place; other text with the passages' spelling of names."""
        ids = self.plain(written.ids)
        if job.sentences and (sentences := whole_sentences(ids, item)):
            text = " ".join(sources[p.source].text[p.start : p.end] for p in sentences)
            return text, sentences[0] if len(sentences) == 1 else None
        if job.names and self.form.copies:
            names = self.names(written, sources, item, job.names) if written.possible >= 0.5 else []
            return question.strip() + (f" ({'; '.join(names)})" if names else ""), None
        place = best_supported(occurrences(ids, item), sources, question) if job in (ANSWER, QUOTE) else None
        if place is not None:
            return sources[place.source].text[place.start : place.end], place
        if self.lower_case:
            known = [(sources[i].text, t[:2]) for i, t in zip(item.used, item.texts, strict=True)]
            known += [(text, tokenize(text, self.tokenizer)[:2]) for text in (question, *(s.title for s in sources))]
            return restore_case(ids, known, self.tokenizer), None
        text = self.tokenizer.decode(ids, skip_special_tokens=True).strip()
        if job == ANSWER and text.lower().rstrip(".") == self.form.no_answer:
            text = ""
        return text, None

    def plain(self, ids: Sequence[int]) -> list[int]:
        """Token ids without the tokenizer's own marks."""
        special = set(self.tokenizer.all_special_ids) - {self.tokenizer.unk_token_id}
        return [t for t in ids if t not in special]

    def names(self, written: Written, sources: Sequence[Source], item: Item, most: int) -> list[str]:
        """The first `most` names that the beams wrote, best beam first, none of which is part of another."""
        names: list[str] = []
        for ids in (written.ids, *written.others):
            for place in occurrences(self.plain(ids), item)[:1]:
                name = sources[place.source].text[place.start : place.end]
                if len(names) < most and not any(name in other or other in name for other in names):
                    names.append(name)
        return names

    def stream(
        self, question: str, sources: Sequence[Source], source_logs: Sequence[float] | None = None
    ) -> Iterator[str | Generation]:
        """See `Generator.stream`; written greedily. What no later token can change is yielded as soon as it is known.

        Raises:
            QuestionTooLong: the question leaves no room for a source.
        """
        item, ids, shown = self.lay_out(question, sources, ANSWER), [], ""
        with tokens_of(lambda streamer: self.decode([item], ANSWER, streamer)) as (tokens, result):
            for token in tokens:
                ids.append(token)
                text = self.settled(ids, item, sources)
                if len(text) > len(shown):
                    yield text[len(shown) :]
                    shown = text
            (written,) = result()
        generation = self.finish(question, sources, item, written, ANSWER)
        if generation.text.startswith(shown) and generation.text != shown:
            yield generation.text[len(shown) :]
        yield generation

    def settled(self, ids: Sequence[int], item: Item, sources: Sequence[Source]) -> str:
        """So much of the text as no later token can change.

        A copying model's tokens may stand in several places, which may write them differently ("The", "the"): what all
        of them agree on is settled. Of other text it is the whole words; of lower-case tokens in free order, nothing.
        """
        ids = self.plain(ids)
        if self.constraint([item], ANSWER) is not None:
            places = occurrences(ids, item)
            return common_start([sources[p.source].text[p.start : p.end] for p in places])
        if self.lower_case:
            return ""
        text = self.tokenizer.decode(ids, skip_special_tokens=True).lstrip()
        return text[: text.rfind(" ") + 1]
