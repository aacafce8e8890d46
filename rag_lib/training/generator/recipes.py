"""The recipes of the generator's first three stages, from public data alone, and the one for anybody's own triples.

read     MiniLM → a reader of single passages: SQuAD and QED
jobs     → all jobs, several sources, no answer: SQuAD, QED, SciTLDR
reread   → a better reader: SQuAD and QED again, far longer, and without the phase of copying

Each stage starts from the weights of the one before; `rag_lib.museum.generator_recipe` has the fourth. Taught in
notebooks/09_finetune_generator.ipynb.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

from rag_lib.evaluation.answers import exact_match, f1, score_answers
from rag_lib.evaluation.squad import QED, SCITLDR, SQUAD, answer_rows, load_public, parse
from rag_lib.files import write_json
from rag_lib.generation.generators import Decoding
from rag_lib.generation.reader import EvidenceReader
from rag_lib.models.adapters import merge_adapter
from rag_lib.models.reader import BartReader
from rag_lib.models.warm_start import bart_from_bert
from rag_lib.models.weights import GENERATOR, load_minilm, load_perigee, save_perigee
from rag_lib.retrieval.base import PASSAGES
from rag_lib.training import processes
from rag_lib.training.generator.examples import (
    FixedTask,
    FollowUpTask,
    Phase,
    ReadingTask,
    Search,
    Task,
    Triple,
    search_contexts,
    summary_example,
)
from rag_lib.training.generator.features import Features, Featurizer, GeneratorSettings, collate
from rag_lib.training.generator.learning import summed_losses, train
from rag_lib.training.generator.triples import UnanswerableTask, read_triples, triple_from_row
from rag_lib.training.run import first_and_best

DECODER_LAYERS = 3
HELD_OUT = 300  # validation questions that are asked while training

READ = GeneratorSettings(
    phases=(
        Phase(10_240, words=(30, 60), quotes=1.0),
        Phase(34_816, words=(40, 110)),
        Phase(12_288, words=(40, 160), quotes=0.05, sources=(1, 3)),
    ),
)
JOBS = GeneratorSettings(
    phases=(
        Phase(
            16_384,
            words=(40, 110),
            sources=(1, 4),
            apart=0.8,
            missing=0.2,
            quotes=0.08,
            mixture=(("read", 0.74), ("rewrite", 0.16), ("summarize", 0.1)),
        ),
    ),
    batch_size=16,
    encoder_rate=8e-5,
    decoder_rate=4e-4,
    decay=0.6,
    evaluate_every=5_120,
)
REREAD = GeneratorSettings(
    phases=(Phase(131_072, words=(40, 130), missing=0.08, quotes=0.05),),
    encoder_rate=1e-4,
    decoder_rate=5e-4,
    decay=0.9,
    dropout=0.05,
    evaluate_every=16_384,
    patience=100,
)
# For a user's own triples: `own_settings` fits lengths to their number.
OWN_PHASE = Phase(5_120, words=(40, 90), sources=(1, 5), apart=0.9, missing=0.1, quotes=0.05)
OWN = GeneratorSettings(
    phases=(OWN_PHASE,),
    batch_size=16,
    pool_batches=16,
    encoder_rate=7e-4,
    decoder_rate=7e-4,
    rank=16,
    warmup_steps=50,
    decay=0.6,
    max_target=110,
    max_rows=24,
    evaluate_every=3_072,
)
PASSES = 8  # over a user's triples, as far as OWN_PHASE is long enough
OWN_GOAL = "likelihood"  # on a few rows exact match moves in leaps and ties; the loss does not


def public_triples(names: Sequence[str]) -> list[Triple]:
    """The train splits of public data as triples, without the questions that have no answer.

    Raises:
        DataUnavailable: one of them cannot be had.
    """
    rows = (parse(row) for name in names for row in load_public(name, "train"))
    return [triple_from_row(row) for row in rows if row.answers]


def public_tasks() -> dict[str, Task]:
    """Reading, following up and summarising, from public data alone.

    Raises:
        DataUnavailable: SQuAD, QED or SciTLDR cannot be had.
    """
    triples = public_triples([SQUAD, QED])
    papers = load_public(SCITLDR, "train")
    return {
        "read": ReadingTask(triples, search_contexts(triples)),
        "rewrite": FollowUpTask(triples),
        "summarize": FixedTask([summary_example(p["title"], p["abstract"], p["summaries"][0]) for p in papers]),
    }


Evaluate = Callable[[BartReader], dict[str, float]]


def squad_evaluation(tokenizer: PreTrainedTokenizerBase, count: int = HELD_OUT) -> Evaluate:
    """Exact match and F1 on SQuAD validation questions, each read from its own paragraph."""
    rows = [parse(row) for row in random.Random(0).sample(list(load_public(SQUAD, "validation")), count)]
    answers = [row.texts for row in rows]
    return lambda model: score(
        answer_rows(EvidenceReader(model, tokenizer, Decoding(half=None)), rows, progress=False), answers
    )


def score(predictions: Sequence[str], answers: Sequence[Sequence[str]]) -> dict[str, float]:
    """Mean exact match and F1."""
    metrics = {"em": exact_match, "f1": f1}
    return {k: round(sum(score_answers(predictions, answers, m)) / len(answers), 4) for k, m in metrics.items()}


@torch.no_grad()
def mean_loss(model: BartReader, features: Sequence[Features], padding: int) -> float:
    """The loss of examples in nats: the sum of its parts, each a mean over its labels."""
    sums: dict[str, torch.Tensor] = {}
    for one in features:
        batch = {key: value.to(model.device) for key, value in collate([one], padding).items()}
        for name, pair in summed_losses(model, batch).items():
            sums[name] = sums.get(name, torch.zeros(2)) + torch.stack([x.float().cpu() for x in pair])
    return sum(float(total / count.clamp(min=1)) for total, count in sums.values())


def own_evaluation(held_out: Mapping[str, Task], tokenizer: PreTrainedTokenizerBase) -> Evaluate:
    """How held-out triples are answered, each from its own context among misleading passages.

    Exact match and F1, the loss in nats, and `exp(-loss)` as OWN_GOAL.
    """
    phase = replace(OWN_PHASE, words=(90, 90), sources=(PASSAGES, PASSAGES), missing=0.0, quotes=0.0)
    asked, answers = [], []
    for task in held_out.values():
        for i in range(min(len(task), HELD_OUT)):
            example = task.example(i, phase, random.Random(i))
            asked.append(example)
            answers.append([example.target, *task.triples[i].aliases])
    featurize = Featurizer(tokenizer, OWN)
    features = [f for example in asked if (f := featurize(example, apart=True))]

    def evaluate(model: BartReader) -> dict[str, float]:
        generations = EvidenceReader(model, tokenizer, Decoding(half=None)).generate(
            [e.question for e in asked], [e.sources for e in asked]
        )
        loss = mean_loss(model, features, tokenizer.pad_token_id)
        figures = score([g.text for g in generations], answers)
        return figures | {"loss": round(loss, 4), OWN_GOAL: math.exp(-loss), "n": len(asked)}

    return evaluate


def told(before: Mapping[str, float], after: Mapping[str, float], standard: Mapping[str, float]) -> list[str]:
    """What training did on the held-out triples, and what the bundled generator does there."""
    names = {"em": "exact match", "f1": "F1", "loss": "loss in nats"}
    changes = ", ".join(f"{name} {before[key]:.2f} -> {after[key]:.2f}" for key, name in names.items())
    others = ", ".join(f"{name} {standard[key]:.2f}" for key, name in names.items() if key != "loss")
    return [
        f"on {before['n']:.0f} held-out rows, before -> after: {changes}",
        f"the bundled generator, on the same rows: {others}",
    ]


def own_tasks(triples: Sequence[Triple], search: Search) -> dict[str, Task]:
    """Reading, and finding no answer, from a user's own triples; without those of which there are none."""
    answered, unanswerable = ([t for t in triples if bool(t.answer) == wanted] for wanted in (True, False))
    tasks = {"ask": ReadingTask(answered, search), "unanswerable": UnanswerableTask(unanswerable, search)}
    return {name: task for name, task in tasks.items() if len(task)}


def readable(triples: Sequence[Triple], featurizer: Featurizer) -> tuple[list[Triple], list[Triple]]:
    """The triples whose contexts can be cut around the answer to what the model reads, and the others.

    Drawn among the rest, those others would leave only the questions to which no passage holds an answer.
    """
    phase = replace(OWN_PHASE, words=(OWN_PHASE.words[0],) * 2, sources=(1, 1), missing=0.0, quotes=0.0)
    found: tuple[list[Triple], list[Triple]] = ([], [])
    for triple in triples:
        (task,) = own_tasks([triple], lambda query: []).values()
        example = task.example(0, phase, random.Random(0))
        found[featurizer(example, apart=True) is None].append(triple)
    return found


def own_settings(tasks: Mapping[str, Task], share: float = 1.0, **changes: float) -> GeneratorSettings:
    """`OWN` for these tasks: every triple is seen `PASSES` times, or as often as the recipe's length allows.

    Args:
        share: that length times so much.
        changes: other settings than `OWN` has, by name.

    Raises:
        ValueError: a setting is impossible.
    """
    settings = replace(OWN, **changes)
    rows = sum(map(len, tasks.values()))
    if settings.batch_size < 1 or settings.encoder_rate <= 0 or settings.rank < 0 or share <= 0:
        raise ValueError("batch size, rate and share of examples must be above 0, and the rank not below 0")
    examples = max(
        settings.batch_size, round(share * min(OWN_PHASE.examples, max(PASSES * rows, 20 * settings.batch_size)))
    )
    mixture = tuple((name, len(task) / rows) for name, task in tasks.items())
    return replace(
        settings,
        phases=(replace(OWN_PHASE, examples=examples, mixture=mixture),),
        warmup_steps=max(1, min(settings.warmup_steps, examples // settings.batch_size // 8)),
        evaluate_every=max(settings.batch_size, examples // 8),
    )


def train_own(
    data: Path, folder: Path, start: Path | None = None, share: float = 1.0, device: str = "cpu", **changes: float
) -> None:
    """Trains a generator on a user's own triples; `ask --generator FOLDER/weights` then uses it.

    Args:
        data: a folder of .jsonl files, or one of them (see `rag_lib.training.rows`).
        folder: for checkpoints, log and weights; there it also resumes.
        start: the generator to start from; the bundled one before museum training where None.
        share, changes: see `own_settings`.

    Raises:
        ValueError: there are too few triples, a setting is impossible, or nothing was gained on what is held out.
        CheckpointUnusable: `folder` holds a run with other settings or data.
    """
    training, held_out, broken = read_triples(data)
    model, tokenizer = load_perigee(start) if start else load_perigee(GENERATOR, adapter=False)
    training, unreadable = readable(training, Featurizer(tokenizer, OWN))
    if not training:
        raise ValueError(f"{data} holds no row whose context can be cut to what the model reads")
    search = search_contexts([*training, *held_out])
    tasks = own_tasks(training, search)
    settings = own_settings(tasks, share, **changes)
    torch.manual_seed(settings.seed)
    if processes.is_first():
        long = [f"{t.question} (the context cannot be cut at words to what the model reads)" for t in unreadable]
        for message in (*broken, *long):
            print(f"left out: {message}", file=sys.stderr)
        left_out = len(broken) + len(long)
        print(f"{len(training)} triples to train on, {len(held_out)} held out, {left_out} rows left out")
    evaluate = own_evaluation(own_tasks(held_out, search), tokenizer)
    train(model.to(device), tokenizer, tasks, folder, settings, evaluate, OWN_GOAL)
    if processes.is_first():
        before, after = first_and_best(folder, OWN_GOAL)
        print(*told(before, after, evaluate(load_perigee(GENERATOR)[0].eval())), sep="\n")
        if settings.rank:
            merge_adapter(model)
        weights = folder / "weights"
        save_perigee(model, weights)
        write_json(weights / "own.json", asdict(settings))
        print(f"weights: {weights}")


STAGES = {"read": READ, "jobs": JOBS, "reread": REREAD}


def shortened(settings: GeneratorSettings, share: float) -> GeneratorSettings:
    """The settings with `share` times as many examples."""
    return replace(settings, phases=tuple(replace(p, examples=round(p.examples * share)) for p in settings.phases))


def train_stage(stage: str, folder: Path, start: Path | None = None, share: float = 1.0, device: str = "cpu") -> None:
    """Trains a stage of the bundled generator; checkpoints, log and weights go to `folder`, where it also resumes.

    Args:
        stage: read, jobs or reread.
        start: the weights to start from; the bundled ones where None. `read` starts from MiniLM.
        share: the recipe's number of examples times so much.

    Raises:
        DataUnavailable: public data cannot be had.
    """
    settings = shortened(STAGES[stage], share)
    torch.manual_seed(settings.seed)
    if stage == "read":
        minilm, tokenizer = load_minilm()
        model = bart_from_bert(minilm, DECODER_LAYERS, tokenizer.cls_token_id, tokenizer.sep_token_id)
    else:
        model, tokenizer = load_perigee(start or GENERATOR, adapter=False)
    train(model.to(device), tokenizer, public_tasks(), folder, settings, squad_evaluation(tokenizer))
    if processes.is_first():
        weights = folder / "weights"
        save_perigee(model, weights)
        write_json(weights / f"{stage}.json", asdict(settings))
        print(f"weights: {weights}")
