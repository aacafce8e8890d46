"""One answer from five passages: rag_lib's generator beside a plain loop over the same weights, on two threads.

The plain loop is what a first program does: for each passage the question and the passage go through the library's
`generate`, and the likeliest answer is taken. Each way answers the same museum questions from the same passages, round
by round in turn, and its seconds, its ratio to the plain loop and its F1 are printed, with F1's paired difference to
32-bit reading. Int8 is torch's dynamic quantisation of all linear maps of the encoder.
Run from the repository's root: python benchmarks/generation.py [--questions N].
"""

import argparse
import copy
import random
from collections.abc import Callable
from statistics import median
from time import perf_counter

import torch
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rag_lib.evaluation.answers import f1, score_answers
from rag_lib.evaluation.statistics import bootstrap, paired_difference
from rag_lib.files import ARTICLES
from rag_lib.generation.generators import Decoding
from rag_lib.generation.jobs import ANSWER
from rag_lib.generation.prompts import BUNDLED
from rag_lib.generation.seq2seq import Seq2SeqGenerator
from rag_lib.indexing.documents import Source
from rag_lib.indexing.encoders import SentenceEncoder
from rag_lib.indexing.store import open_folder
from rag_lib.models.processor import computes_in_half
from rag_lib.models.weights import MUSEUM_ENCODER, load_generator
from rag_lib.museum.collection import load_questions
from rag_lib.pipeline.rag import vote
from rag_lib.retrieval.base import PASSAGES, passage_probabilities
from rag_lib.retrieval.catalogue import make_retriever

Way = Callable[[str, list[Source], list[float]], str]  # a question and passages with their probabilities
PLAIN = "plain loop over passages"


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


def voting(generator: Seq2SeqGenerator) -> Way:
    """Fusion-in-Decoder and every passage alone, with a vote: what `RAG.ask` does."""

    def answer(question: str, sources: list[Source], probabilities: list[float]) -> str:
        all_of_them, *alone = generator.generate([question] * (len(sources) + 1), [sources, *([s] for s in sources)])
        return vote(all_of_them, alone, probabilities).text

    return answer


def int8(generator: Seq2SeqGenerator) -> Seq2SeqGenerator:
    """The generator with the encoder's linear maps in 8-bit integers."""
    model = copy.deepcopy(generator.model)
    torch.ao.quantization.quantize_dynamic(model.get_encoder(), {torch.nn.Linear}, dtype=torch.qint8, inplace=True)
    return Seq2SeqGenerator(model, generator.tokenizer)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=200, metavar="N", help="default: 200")
    options = parser.parse_args()
    torch.set_num_threads(2)
    encoder = SentenceEncoder(MUSEUM_ENCODER)
    knowledge = open_folder(ARTICLES, encoder)
    retriever = make_retriever("reranked", knowledge, encoder)
    asked = [q for q in load_questions("validation") if q.answers]
    questions = random.Random(0).sample(asked, min(options.questions, len(asked)))
    found = []
    for q in tqdm(questions, desc="searching"):
        hits = retriever.retrieve(q.question, PASSAGES)
        sources = [knowledge.passages[h.id].source for h in hits]
        found.append((sources, passage_probabilities(hits, retriever.temperature)))

    model, tokenizer = load_generator()
    exact = Seq2SeqGenerator(model, tokenizer)
    half = Seq2SeqGenerator(model, tokenizer, Decoding(half=True))
    ways: dict[str, Way] = {
        PLAIN: plain_loop(model, tokenizer),
        "together, 32 bits": together(exact),
        "together, bfloat16": together(half),
        "together, int8": together(int8(exact)),
        "with vote, 32 bits": voting(exact),
        "with vote, bfloat16": voting(half),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    texts: dict[str, list[str]] = {name: [] for name in ways}
    for question, (sources, probabilities) in zip(tqdm(questions, desc="answering"), found, strict=True):
        for name, way in ways.items():
            started = perf_counter()
            texts[name].append(way(question.question, sources, probabilities))
            seconds[name].append(perf_counter() - started)

    gold = [q.answers for q in questions]
    f1s = {name: score_answers(t, gold, f1) for name, t in texts.items()}
    print(f"{len(questions)} questions, {PASSAGES} passages each; bfloat16 instructions: {computes_in_half()}")
    for name in ways:
        ratio = median(seconds[PLAIN]) / median(seconds[name])
        same = name.rpartition(", ")[0] + ", 32 bits"
        against = paired_difference(f1s[name], f1s[same]) if same in f1s and same != name else ""
        print(f"{name:26} {median(seconds[name]):6.3f} s  {ratio:4.1f} x  F1 {bootstrap(f1s[name])}  {against}")


if __name__ == "__main__":
    main()
