"""The bundled generator at its best: first the sentence that is the evidence, then the words in it that answer.

The evidence head and the decoder read the same states. The head sees every place at once, but judges begin and end
apart; the decoder knows what an answer sounds like, but commits itself word by word; the retriever knows which passage
fits the question. What they say is multiplied (Hinton, 2002, "Training Products of Experts"):

    sentence:  HEAD · log p(sentence) + RETRIEVER · log p(passage | question) + RANKER · log-odds(sentence)
    words:     log p(place) + DECODER · log p(words)

The last term is a `SentenceRanker`'s, where there is one. It also tells yes from no.

Taught in notebooks/07_rag_pipeline.ipynb.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from rag_lib.generation.claims import DECODER as DECODER  # which notebook 07 shows
from rag_lib.generation.claims import (
    Choice,
    claims,
    evidence,
    in_all,
    outvoted,
    probabilities,
    ranked,
    says_same,
    verdict_claims,
    witnesses,
)
from rag_lib.generation.confidence import Confidence, load_confidence, logit, sigmoid
from rag_lib.generation.encoding import encode_apart, token_log_probabilities
from rag_lib.generation.evidence import (
    Quotation,
    evidence_logs,
    missing_probability,
    positions,
    runs,
    sentence_of,
    sentences,
)
from rag_lib.generation.generators import Decoding, Generation, Place, Token, check_sources
from rag_lib.generation.jobs import ANSWER, QUOTING, Job
from rag_lib.generation.quotation import Item
from rag_lib.generation.sentence_ranker import SENTENCE_RANKER, SentenceRanker, SentenceScore
from rag_lib.generation.seq2seq import Seq2SeqGenerator
from rag_lib.generation.verdicts import asks_whether, verdict
from rag_lib.indexing.documents import Source
from rag_lib.models.reader import BartReader
from rag_lib.models.weights import BASE, generator_folder

PROPOSED = 20  # quotations that the decoder reads
PROPOSED_SENTENCES = 6
LIKELY = 3  # sentences in which runs of words are proposed, even if the head alone would not
THRESHOLD = 0.5  # a wrong answer costs as much as a right one gains
UNFITTED = Confidence({"share": 1.0, "present": 1.0})


class EvidenceReader(Seq2SeqGenerator):
    """A BartReader that answers, quotes and replies with the quotation that its head and its decoder agree on."""

    model: BartReader

    def __init__(
        self,
        *args: Any,
        confidence: Confidence = UNFITTED,
        ranker: SentenceRanker | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.confidence = confidence
        self.ranker = ranker
        self.threshold = THRESHOLD
        self.votes = False  # passages compete within one reading

    @classmethod
    def load(cls, name: str | None = None, decoding: Decoding | None = None) -> EvidenceReader:
        """The bundled generator, or another of this project's own making by its folder.

        Raises:
            ModelUnavailable: it cannot be had.
        """
        reader = super().load(name, decoding)
        if name != BASE:  # the confidence in its folder belongs to the weights with the museum's difference
            reader.confidence = load_confidence(generator_folder(name), UNFITTED)
        return reader

    @classmethod
    def load_with_ranker(cls, decoding: Decoding | None = None) -> EvidenceReader:
        """The bundled generator with the sentence ranker beside it.

        Raises:
            ModelUnavailable: one of them cannot be had.
        """
        reader = cls.load(None, decoding)
        reader.ranker = SentenceRanker.load(half=reader.decoding.half)
        reader.confidence = load_confidence(SENTENCE_RANKER, UNFITTED)
        return reader

    def generate(
        self,
        questions: Sequence[str],
        sources: Sequence[Sequence[Source]],
        job: Job = ANSWER,
        source_logs: Sequence[Sequence[float]] | None = None,
    ) -> list[Generation]:
        """See `Generator.generate`.

        Raises:
            QuestionTooLong: with a question no source fits into the model's input.
        """
        if job not in QUOTING:
            return super().generate(questions, sources, job)
        questions = check_sources(questions, sources)
        source_logs = source_logs or [[0.0] * len(each) for each in sources]
        return [self.read(q, s, job, logs) for q, s, logs in zip(questions, sources, source_logs, strict=True)]

    def read(
        self, question: str, sources: Sequence[Source], job: Job = ANSWER, source_logs: Sequence[float] | None = None
    ) -> Generation:
        """The best quotation for one question; no text where there is nothing to quote.

        Sources that are outvoted are set aside and the rest is read again, for beside them nothing else looks likely.
        """
        return self.weigh(question, sources, job, source_logs or [0.0] * len(sources))

    def weigh(
        self, question: str, sources: Sequence[Source], job: Job, source_logs: Sequence[float], against: int = 0
    ) -> Generation:
        """The best quotation of the sources that are not outvoted; `against` sources have been set aside before."""
        first = self.read_once(question, sources, job, source_logs, against)
        aside = outvoted(first, sources)
        kept = [i for i in range(len(sources)) if i not in aside]
        if len(kept) == len(sources):
            return first
        left = torch.tensor([source_logs[i] for i in kept]).log_softmax(0).tolist()
        against += len(witnesses(first.supporting, sources))
        again = self.weigh(question, [sources[i] for i in kept], job, left, against)
        return in_all(again, kept, first, sources)

    @torch.inference_mode()
    def read_once(
        self, question: str, sources: Sequence[Source], job: Job, source_logs: Sequence[float], against: int
    ) -> Generation:
        """The best quotation of all sources."""
        item = self.lay_out(question, sources, job)
        states, mask = self.encode(item)
        at = positions(item)
        logs = evidence_logs(self.model.evidence(states[0]), item, at)
        found = self.with_relevance(sentences(logs, item, at), question, item, sources)
        best = sorted(found, key=lambda s: -evidence(s, source_logs[s.place.source]))[:PROPOSED_SENTENCES]
        whether = self.ranker is not None and job == ANSWER and asks_whether(question)
        if job.sentences or whether:
            proposed = best
        else:
            within = best[:LIKELY] if self.ranker is not None else ()
            proposed = runs(logs, item, at, self.pieces, self.empty, PROPOSED, within)
        if not proposed:
            return Generation("", 0.0, None, item.used, (), item.prompts)
        choices = self.judge(proposed, found, states, mask, source_logs)
        return self.conclude(choices, missing_probability(logs, at), item, sources, against, whether)

    def with_relevance(
        self, sentences: Sequence[Quotation], question: str, item: Item, sources: Sequence[Source]
    ) -> list[Quotation]:
        """The sentences with what the ranker thinks of them; as they are where there is none."""
        if self.ranker is None:
            return list(sentences)
        as_read = [Source(sources[i].title, text.text) for i, text in zip(item.used, item.texts, strict=True)]
        opinions = dict(zip(item.used, self.ranker.score(question, as_read), strict=True))

        def of(place: Place) -> SentenceScore:
            """What is thought of the sentence that begins at a place."""
            return next(j for j in opinions[place.source] if j.start <= place.start < j.end)

        pairs = [(sentence, of(sentence.place)) for sentence in sentences]
        return [s._replace(relevance=opinion.relevance, says_yes=opinion.says_yes) for s, opinion in pairs]

    def encode(self, item: Item) -> tuple[torch.Tensor, torch.Tensor]:
        """States (1, N, d) and attention mask (1, N) of an item's rows, laid end to end."""
        inputs = self.tokenizer.pad({"input_ids": item.rows}, padding_side="right", return_tensors="pt")
        ids, mask = (inputs[k].to(self.model.device) for k in ("input_ids", "attention_mask"))
        return encode_apart(self.model, ids, mask, [0] * len(item.rows), self.batch_size)

    def judge(
        self,
        proposed: Sequence[Quotation],
        sentences: Sequence[Quotation],
        states: torch.Tensor,
        mask: torch.Tensor,
        source_logs: Sequence[float],
    ) -> list[Choice]:
        """The quotations as the decoder and the retriever see them too, best first."""
        logs = token_log_probabilities(self.model, (states, mask), [q.ids for q in proposed])[:, 0]
        return ranked(
            Choice(q, sentence_of(q, sentences), tuple(row[: len(q.ids) + 1].tolist()), source_logs[q.place.source])
            for q, row in zip(proposed, logs, strict=True)
        )

    def conclude(
        self,
        choices: Sequence[Choice],
        missing: float,
        item: Item,
        sources: Sequence[Source],
        against: int,
        whether: bool = False,
    ) -> Generation:
        """The best choice as a generation, with what the other sources say.

        Args:
            whether: yes or no is asked for, and said where the ranker is sure of it.
        """
        asked = self.tokenizer(item.prompts[0].question, add_special_tokens=False, verbose=False)["input_ids"]
        if whether and verdict(choices[0].sentence.says_yes):
            said = verdict_claims(choices, self.empty, sources)
        else:
            said = claims(choices, self.empty, sources, frozenset(asked))
        first = said.supporting[0]
        supporting = tuple(c.place for c in said.supporting)
        disagreeing = witnesses((c.place for c in said.disagreeing), sources)
        once = witnesses(supporting, sources)
        witnessed = [c for c in said.supporting if c.place in once]
        says_yes = first.sentence.says_yes if whether else 0.0
        features = self.features(choices, witnessed, missing, against + len(disagreeing), says_yes)
        tokens = self.tokenizer.convert_ids_to_tokens([*first.quotation.ids, self.model.config.eos_token_id])
        return Generation(
            sources[first.place.source].text[first.place.start : first.place.end],
            self.confidence(features),
            first.place,
            item.used,
            tuple(Token(t, math.exp(log)) for t, log in zip(tokens, first.words, strict=True)),
            item.prompts,
            item.cut,
            features,
            supporting,
            disagreeing,
            verdict(says_yes),
        )

    def features(
        self,
        choices: Sequence[Choice],
        supporting: Sequence[Choice],
        missing: float,
        against: int,
        says_yes: float = 0.0,
    ) -> dict[str, float]:
        """What the confidence is computed from. Passages that say the same are counted together, copies once.

        share: the log-odds of the part that quotations which say the same as the best one have among all proposed;
        present: the log-odds that some source holds the answer; place: log p(its places); words: mean log p of a token;
        source: log p(its sources | question); agree: log of the part that those for it are of all that say something.
        With a ranker, relevance: the log-odds that the sentence answers; verdict: log p(yes or no), 0 where neither is
        said.
        """
        best = choices[0]
        share = sum(p for p, c in zip(probabilities(choices), choices, strict=True) if says_same(c, best, self.empty))
        places, found = (
            torch.tensor(x).logsumexp(0) for x in zip(*((c.quotation.log, c.source) for c in supporting), strict=True)
        )
        features = {
            "share": logit(share, 1e-4),
            "present": logit(1 - missing, 1e-4),
            "place": min(max(float(places), -20.0), 0.0),
            "words": sum(best.words) / len(best.words),
            "source": min(max(float(found), -20.0), 0.0),
            "agree": math.log(len(supporting) / (len(supporting) + against)),
        }
        if self.ranker is not None:
            features["relevance"] = best.sentence.relevance
            features["verdict"] = math.log(sigmoid(abs(says_yes))) if verdict(says_yes) else 0.0
        return features

    def stream(
        self, question: str, sources: Sequence[Source], source_logs: Sequence[float] | None = None
    ) -> Iterator[str | Generation]:
        """See `Generator.stream`. A quotation is known all at once, so it comes in one piece.

        Raises:
            QuestionTooLong: with the question no source fits into the model's input.
        """
        generation = self.read(question, sources, ANSWER, source_logs)
        if generation.text:
            yield generation.text
        yield generation
