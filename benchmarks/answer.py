"""One answer from five passages: rag_lib's generator beside a plain loop over the same weights.

The plain loop is what a first program does: for each passage the question and the passage go through the library's
`generate`, and the likeliest answer is taken. Int8 is torch's dynamic quantisation of all linear maps of the encoder.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from benchmarks.side_by_side import Peer, Round, Row, side_by_side
from rag_lib.evaluation.answers import f1, score_answers
from rag_lib.evaluation.statistics import bootstrap
from rag_lib.files import ARTICLES
from rag_lib.generation.catalogue import make_generator
from rag_lib.generation.generators import Decoding
from rag_lib.generation.jobs import ANSWER
from rag_lib.generation.prompts import BUNDLED
from rag_lib.generation.reader import EvidenceReader
from rag_lib.generation.seq2seq import Seq2SeqGenerator
from rag_lib.indexing.documents import Source
from rag_lib.indexing.encoders import make_encoder
from rag_lib.indexing.store import open_folder
from rag_lib.models.weights import MUSEUM_ENCODER, load_generator
from rag_lib.museum.collection import load_questions
from rag_lib.retrieval.base import PASSAGES, passage_probabilities
from rag_lib.retrieval.catalogue import DEFAULT, make_retriever

BFLOAT16 = Decoding(half=True)
Way = Callable[[str, list[Source], list[float]], str]  # a question and passages with their probabilities


def plain_loop(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Way:
    """Reads every passage by itself, one `generate` call each."""

    @torch.inference_mode()
    def answer(question: str, sources: list[Source], probabilities: list[float]) -> str:
        found = []
        for source in sources:
            text = BUNDLED.render(ANSWER, question, [source])
            ids = tokenizer(text, return_tensors="pt", truncation=True)["input_ids"]
            output = model.generate(ids, max_new_tokens=32, return_dict_in_generate=True, output_scores=True)
            steps = model.compute_transition_scores(output.sequences, output.scores, normalize_logits=True)
            found.append((steps.sum().item(), tokenizer.decode(output.sequences[0], skip_special_tokens=True)))
        return max(found)[1]

    return answer


def together(generator: Seq2SeqGenerator) -> Way:
    """Fusion-in-Decoder alone."""
    return lambda question, sources, probabilities: generator.generate([question], [sources])[0].text


def quoting(reader: EvidenceReader) -> Way:
    """The sentence that head and retriever choose, the words that head and decoder choose: what `ask` does."""

    def answer(question: str, sources: list[Source], probabilities: list[float]) -> str:
        logs = np.log(np.maximum(probabilities, 1e-9)).tolist()
        return reader.generate([question], [sources], source_logs=[logs])[0].text

    return answer


def int8(generator: Seq2SeqGenerator) -> Seq2SeqGenerator:
    """The generator with the encoder's linear maps in 8-bit integers."""
    model = copy.deepcopy(generator.model)
    torch.ao.quantization.quantize_dynamic(model.get_encoder(), {torch.nn.Linear}, dtype=torch.qint8, inplace=True)
    return Seq2SeqGenerator(model, generator.tokenizer)


Asked = tuple[str, list[Source], list[float]]


def each(way: Way, asked: list[Asked]) -> Round:
    """Answers every question."""
    return lambda: [way(*question) for question in asked]


def searched(questions: Sequence[str]) -> list[Asked]:
    """The questions with their passages and the passages' probabilities."""
    encoder = make_encoder(MUSEUM_ENCODER)
    knowledge = open_folder(ARTICLES, encoder)
    retriever = make_retriever(DEFAULT, knowledge, encoder)
    found = []
    for question in questions:
        hits = retriever.retrieve(question, PASSAGES)
        sources = [knowledge.passages[h.id].source for h in hits]
        found.append((question, sources, list(passage_probabilities(hits, retriever.temperature))))
    return found


def measure(sizes: Sequence[int], rounds: int, items: int) -> Iterator[Row]:
    """So many of the museum's validation questions."""
    known = [q for q in load_questions("validation") if q.answers]
    questions = random.Random(0).sample(known, min(items, len(known)))
    asked, gold = searched([q.question for q in questions]), [q.answers for q in questions]
    model, tokenizer = load_generator()
    exact = Seq2SeqGenerator(model, tokenizer)
    half = Seq2SeqGenerator(model, tokenizer, BFLOAT16)
    ways = {
        "plain loop over passages": ("generate, greedy, 32 bits", plain_loop(model, tokenizer)),
        "together": ("Fusion-in-Decoder, 32 bits", together(exact)),
        "together, bfloat16": ("Fusion-in-Decoder, bfloat16", together(half)),
        "together, int8": ("Fusion-in-Decoder, the encoder in int8", together(int8(exact))),
        "quoting": ("as `ask`, 32 bits", quoting(make_generator())),
        "quoting, bfloat16": ("as `ask` where the processor has bfloat16", quoting(make_generator(None, BFLOAT16))),
    }
    peers = [Peer(name, settings, lambda way=way: each(way, asked)) for name, (settings, way) in ways.items()]

    def quality(first: Sequence[str], own: Sequence[str]) -> str:
        return f"F1 {bootstrap(score_answers(own, gold, f1))}"

    yield from side_by_side(
        "answer", f"{len(asked)} questions, {PASSAGES} passages each", peers, rounds, len(asked), quality
    )
