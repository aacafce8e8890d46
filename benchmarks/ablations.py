"""What each part of the reading recipe is worth: short runs that leave one of them out, on the same test questions.

Every run starts from MiniLM and sees the same number of examples; then 1,000 SQuAD validation questions are answered
from their paragraphs, and exact match is compared with the whole recipe's, question by question. Run from the
repository's root: python benchmarks/ablations.py --output FOLDER [--examples N]. Runs that were finished are not
repeated; a killed one goes on where it was.
"""

import argparse
import json
import random
from dataclasses import replace
from pathlib import Path

import torch

from rag_lib.evaluation.answers import exact_match, f1, score_answers
from rag_lib.evaluation.squad import QED, SQUAD, Row, answer_rows, load_public, parse
from rag_lib.evaluation.statistics import bootstrap, paired_difference
from rag_lib.files import MODELS, write_json
from rag_lib.generation.generators import Decoding
from rag_lib.generation.seq2seq import Seq2SeqGenerator
from rag_lib.indexing.splitting import sentence_spans
from rag_lib.models.warm_start import bart_from_bert
from rag_lib.models.weights import load_minilm, load_perigee
from rag_lib.training.generator.examples import NAME, Phase, ReadingTask, Triple, search_contexts
from rag_lib.training.generator.learning import train
from rag_lib.training.generator.recipes import DECODER_LAYERS, READ, public_triples

QUESTIONS = 1_000
COPYING = 0.2  # the share of the examples in the copying phase, about as in the whole recipe
WHOLE = "the whole recipe"


def variants(examples: int) -> dict[str, tuple[tuple[Phase, ...], int, tuple[str, ...]]]:
    """Phases, decoder layers and data sets of each run."""
    both = (SQUAD, QED)
    first = round(examples * COPYING / 1024) * 1024  # phases change between pools of examples
    reading, after = (Phase(n, words=(40, 110)) for n in (examples, examples - first))
    copied = (Phase(first, words=(30, 60), quotes=1.0), after)
    guessed = (Phase(first, words=(30, 60), quotes=0.0, mixture=(("cloze", 1.0),)), after)
    return {
        WHOLE: (copied, DECODER_LAYERS, both),
        "without copying first": ((reading,), DECODER_LAYERS, both),
        "cloze questions first": (guessed, DECODER_LAYERS, both),
        "one decoder layer": (copied, 1, both),
        "without QED": (copied, DECODER_LAYERS, (SQUAD,)),
    }


def cloze_questions(triples: list[Triple], rng: random.Random) -> list[Triple]:
    """A question made of each context: one of its sentences with a name in it replaced by "what"."""
    made = []
    for context, title in {t.context: t.title for t in triples}.items():
        a, b = rng.choice(sentence_spans(context))
        names = [m.span() for m in NAME.finditer(context, a, b) if m.start() > a]
        if names:
            start, end = rng.choice(names)
            made.append(Triple(context[a:start] + "what" + context[end:b], title, context, context[start:end], start))
    return made


def run(
    folder: Path, stretch: tuple[Phase, ...], layers: int, data: tuple[str, ...], rows: list[Row], decoding: Decoding
) -> list[str]:
    """Trains one variant and returns what it answers; from its file where it was finished before."""
    done = folder / "answers.json"
    if not done.is_file():
        minilm, tokenizer = load_minilm()
        torch.manual_seed(READ.seed)
        model = bart_from_bert(minilm, layers, tokenizer.cls_token_id, tokenizer.sep_token_id)
        triples = public_triples(data)
        settings = replace(READ, phases=stretch, warmup_steps=50)
        search = search_contexts(triples)
        cloze = cloze_questions(triples, random.Random(READ.seed))
        tasks = {"read": ReadingTask(triples, search), "cloze": ReadingTask(cloze, search)}
        train(model, tokenizer, tasks, folder, settings)
        write_json(done, answer_rows(Seq2SeqGenerator(model, tokenizer, decoding), rows))
    return json.loads(done.read_text(encoding="utf-8"))


def figures(answers: list[str], base: list[str], rows: list[Row]) -> dict[str, str]:
    """Exact match, F1, and the paired difference of exact match."""
    gold = [row.texts for row in rows]
    scores, before = score_answers(answers, gold, exact_match), score_answers(base, gold, exact_match)
    return {
        "exact match": str(bootstrap(scores)),
        "F1": str(bootstrap(score_answers(answers, gold, f1))),
        "difference": str(paired_difference(scores, before)),
    }


def main() -> None:
    """Runs all variants and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="checkpoints and answers; resumes")
    parser.add_argument("--examples", type=int, default=8_192, metavar="N", help="of each run (default: 8192)")
    options = parser.parse_args()
    rows = [parse(row) for row in random.Random(2).sample(list(load_public(SQUAD, "validation")), QUESTIONS)]
    table, base = {}, None
    for name, (stretch, layers, data) in variants(options.examples).items():
        answers = run(options.output / name.replace(" ", "-"), stretch, layers, data, rows, Decoding())
        base = base or answers
        table[name] = figures(answers, base, rows)
        print(f"{name:24}", *(f"{k} {v}" for k, v in table[name].items()), sep="  ", flush=True)

    generator = Seq2SeqGenerator(*load_perigee(MODELS / "perigee-bart"))
    free = Seq2SeqGenerator(generator.model, generator.tokenizer, Decoding(constrained=False))
    bound, unbound = answer_rows(generator, rows), answer_rows(free, rows)
    table["bundled, constrained"] = figures(bound, bound, rows)
    table["bundled, unconstrained"] = figures(unbound, bound, rows)
    for name in list(table)[-2:]:
        print(f"{name:24}", *(f"{k} {v}" for k, v in table[name].items()), sep="  ")
    write_json(options.output / "ablations.json", {"examples": options.examples, "n": QUESTIONS, "runs": table})


if __name__ == "__main__":
    main()
