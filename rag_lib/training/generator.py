"""Training the generator to read (taught in notebooks/09_finetune_generator.ipynb).

The recipe, for little compute: a BART started from MiniLM first learns to copy (its target is the sentence that holds
the answer), then to answer. Three losses are added up: cross-entropy over the whole vocabulary; cross-entropy over the
tokens that constrained decoding would allow, which is the choice it faces in use; and, on the encoder's states, the
cross-entropy of the answer's first and last position (a linear head, thrown away afterwards), which teaches the
encoder where to look long before the decoder can use it.
"""

from __future__ import annotations

import json
import math
import os
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rag_lib.analysis import Analyzer
from rag_lib.bm25 import BM25
from rag_lib.decoding import allowed_next, continuation_pieces
from rag_lib.evaluation import answer_rows, bootstrap, exact_match, f1, score_answers
from rag_lib.generators import Seq2SeqGenerator
from rag_lib.models import load_minilm, save_perigee
from rag_lib.prompts import ANSWER, QUOTE, Source, format_question, format_source
from rag_lib.public_data import QED, SQUAD, load_public
from rag_lib.splitting import Splitting, passage_spans, sentence_spans
from rag_lib.warm_start import bart_from_bert

DECODER_LAYERS = 3
HELD_OUT = 500  # questions of SQuAD's validation split that are asked while training
IGNORED = -100  # the label that cross-entropy leaves out


@dataclass(frozen=True)
class Triple:
    """A question, the passage that answers it, and where: `context[start : start + len(answer)] == answer`."""

    question: str
    title: str
    context: str
    answer: str
    start: int


@dataclass(frozen=True)
class Phase:
    """A stretch of training on inputs of one kind."""

    examples: int
    words: tuple[int, int]  # the gold passage is cut at sentences to a number of words drawn from this range
    quotes: float = 0.1  # share of examples whose target is the whole sentence that holds the answer
    distractors: int = 0  # at most so many passages found in the same article are put beside the gold one


@dataclass(frozen=True)
class Settings:
    """Everything that decides a run."""

    phases: tuple[Phase, ...] = (
        Phase(10_240, words=(30, 60), quotes=1.0),
        Phase(34_816, words=(40, 110)),
        Phase(14_336, words=(40, 160), quotes=0.05, distractors=2),
    )
    batch_size: int = 32
    pool_batches: int = 32  # batches of like length are cut from a shuffled pool of so many
    encoder_rate: float = 1.5e-4
    decoder_rate: float = 8e-4
    warmup_steps: int = 200
    decay: float = 0.35  # the share of the run, at its end, over which the rate falls to zero
    clip: float = 1.0
    max_tokens: int = 448
    max_target: int = 40
    seed: int = 0
    evaluate_every: int = 8_000  # examples
    save_every: float = 300.0  # seconds


def load_triples(rows: Sequence[dict]) -> list[Triple]:
    """Triples from rows laid out as in SQuAD; rows without an answer are left out."""
    return [
        Triple(r["question"], r["title"].replace("_", " "), r["context"], r["answers"]["text"][0], start)
        for r in rows
        if r["answers"]["text"] and (start := r["answers"]["answer_start"][0]) >= 0
    ]


def cut_around(text: str, start: int, end: int, words: int, rng: random.Random) -> tuple[int, int]:
    """Span of whole sentences that holds `text[start:end]` and has about `words` words."""
    spans = sentence_spans(text)
    first = max((i for i, s in enumerate(spans) if s[0] <= start), default=0)
    last = min((i for i, s in enumerate(spans) if s[1] >= end), default=len(spans) - 1)
    last = max(first, last)
    while first > 0 or last < len(spans) - 1:
        left = first > 0 and (last == len(spans) - 1 or rng.random() < 0.5)
        a, b = (first - 1, last) if left else (first, last + 1)
        if len(text[spans[a][0] : spans[b][1]].split()) > words:
            break
        first, last = a, b
    return spans[first][0], spans[last][1]


@dataclass
class Features:
    """One example as token ids."""

    input_ids: list[int]
    labels: list[int]  # ends with the end token
    allowed: list[list[int]]  # for each label, the tokens that constrained decoding allows there
    span: tuple[int, int]  # first and last input position of the answer
    inside: tuple[int, int]  # first and last input position of the gold passage


class Featurizer:
    """Turns triples into features, with random cuts, distractors and jobs drawn from `rng`."""

    def __init__(self, triples: Sequence[Triple], tokenizer: PreTrainedTokenizerBase, settings: Settings) -> None:
        self.triples = triples
        self.tokenizer = tokenizer
        self.settings = settings
        self.pieces = continuation_pieces(tokenizer)
        self.contexts: dict[str, dict[str, None]] = {}  # the paragraphs of every article, each once, in order
        for t in triples:
            self.contexts.setdefault(t.title, {})[t.context] = None
        self.articles: dict[str, BM25] = {}

    def ids(self, text: str) -> list[int]:
        """Token ids of a text, without special tokens."""
        return self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]

    def article(self, title: str) -> BM25:
        """An index of the passages of an article, whose ids are the passages themselves."""
        if title not in self.articles:
            texts = {t[a:b]: None for t in self.contexts[title] for a, b in passage_spans(t, Splitting())}
            self.articles[title] = BM25(list(texts), list(texts), Analyzer())
        return self.articles[title]

    def distractors(self, triple: Triple, phase: Phase, rng: random.Random) -> list[Source]:
        """Passages of the same article that a search for the question finds, and that do not hold the answer."""
        wanted = rng.randint(0, phase.distractors)
        found = [h.id for h in self.article(triple.title).search(triple.question, 4 * wanted)] if wanted else []
        rng.shuffle(found)
        wrong = [t for t in found if t not in triple.context and triple.answer.lower() not in t.lower()]
        return [Source(triple.title, text) for text in wrong[:wanted]]

    def __call__(self, triple: Triple, phase: Phase, rng: random.Random) -> Features | None:
        """Features of a triple, or None where the answer is not a run of whole tokens of the input."""
        s, tok = self.settings, self.tokenizer
        end = triple.start + len(triple.answer)
        job = QUOTE if rng.random() < phase.quotes else ANSWER
        others = self.distractors(triple, phase, rng) if phase.distractors else []
        words = rng.randint(*phase.words)
        a, b = cut_around(triple.context, triple.start, end, words, rng)
        gold = Source(triple.title, triple.context[a:b])
        target = triple.answer
        if job == QUOTE:
            c, d = cut_around(gold.text, triple.start - a, end - a, 0, rng)
            target = gold.text[c:d]

        place = rng.randint(0, len(others))
        sources = [*others[:place], gold, *others[place:]]
        ids = [tok.cls_token_id, *self.ids(format_question(triple.question, job))]
        passages, inside = [], (0, 0)
        for i, source in enumerate(sources):
            text_ids = self.ids(source.text)
            ids += self.ids(format_source(Source(source.title, "")))
            if i == place:
                inside = (len(ids), len(ids) + len(text_ids) - 1)
            passages.append(text_ids)
            ids += text_ids
        ids.append(tok.sep_token_id)
        if inside[1] >= s.max_tokens - 1:
            return None
        ids = ids[: s.max_tokens]

        before = len(self.ids(gold.text[: triple.start - a]))
        answer_ids = self.ids(triple.answer)
        first = inside[0] + before
        if not answer_ids or ids[first : first + len(answer_ids)] != answer_ids:
            return None
        labels = [*self.ids(target)[: s.max_target - 1], tok.sep_token_id]
        allowed = []
        for n, label in enumerate(labels):
            options = allowed_next(labels[:n], passages, tok.sep_token_id, self.pieces)
            if label not in options:
                if n == s.max_target - 1:
                    options.add(label)  # a long quotation was cut short
                else:
                    return None
            allowed.append(sorted(options))
        return Features(ids, labels, allowed, (first, first + len(answer_ids) - 1), inside)


def pad(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    """Rows of unequal length as one tensor (rows, longest)."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows])


def collate(features: Sequence[Features], pad_id: int) -> dict[str, torch.Tensor]:
    """A batch: B inputs of L tokens, B targets of T labels, at most A allowed tokens a label."""
    input_ids = pad([f.input_ids for f in features], pad_id)
    labels = pad([f.labels for f in features], IGNORED)
    widest = max(len(a) for f in features for a in f.allowed)
    allowed = torch.full((*labels.shape, widest), -1)
    for i, f in enumerate(features):
        for j, options in enumerate(f.allowed):
            allowed[i, j, : len(options)] = torch.tensor(options)
    position = torch.arange(input_ids.shape[1])
    inside = torch.tensor([f.inside for f in features])
    return {
        "input_ids": input_ids,
        "attention_mask": (position < torch.tensor([[len(f.input_ids)] for f in features])).long(),
        "labels": labels,
        "allowed": allowed,
        "span": torch.tensor([f.span for f in features]),
        "inside": (position >= inside[:, :1]) & (position <= inside[:, 1:]),
    }


def losses(
    model: PreTrainedModel, span_head: torch.nn.Linear, batch: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """The three losses of a batch, each a mean over labels or examples, in nats."""
    out = model(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        decoder_input_ids=shift_right(batch["labels"], model.config),
    )
    kept = batch["labels"] != IGNORED  # (B, T), N of them true
    logits, labels = out.logits[kept].float(), batch["labels"][kept]  # (N, V), (N,)
    token = F.cross_entropy(logits, labels)

    allowed = batch["allowed"][kept]  # (N, A), -1 where there are fewer
    options = logits.gather(1, allowed.clamp(min=0)).masked_fill(allowed < 0, -math.inf)
    chosen = logits.gather(1, labels[:, None])[:, 0]
    constrained = (options.logsumexp(1) - chosen).mean()

    ends = span_head(out.encoder_last_hidden_state).float()  # (B, L, 2)
    ends = ends.masked_fill(~batch["inside"][..., None], -1e4)
    span = F.cross_entropy(ends[..., 0], batch["span"][:, 0]) + F.cross_entropy(ends[..., 1], batch["span"][:, 1])
    return {"token": token, "constrained": constrained, "span": span}


def shift_right(labels: torch.Tensor, config) -> torch.Tensor:
    """Decoder inputs (B, T) for teacher forcing: the start token, then every label but the last."""
    inputs = labels.roll(1, dims=1)
    inputs[:, 0] = config.decoder_start_token_id
    return inputs.masked_fill(inputs == IGNORED, config.pad_token_id)


def schedule(seen: int, total: int, settings: Settings) -> float:
    """Factor of the learning rate: a linear warm-up, a plateau, a linear decay to zero."""
    warm = min(1.0, (seen + settings.batch_size) / (settings.warmup_steps * settings.batch_size))
    return warm * min(1.0, max(0.0, (total - seen) / (settings.decay * total)))


def phase_at(seen: int, phases: Sequence[Phase]) -> Phase:
    """The phase that the example number `seen` falls in."""
    for phase in phases:
        if seen < phase.examples:
            return phase
        seen -= phase.examples
    return phases[-1]


def batches(featurizer: Featurizer, settings: Settings, start: int) -> Iterator[list[Features]]:
    """Batches of like length from example number `start` on; the same `start` gives the same batches."""
    pool_size = settings.batch_size * settings.pool_batches
    for pool in range(start // pool_size, 10**9):
        rng = random.Random(f"{settings.seed} {pool}")
        phase = phase_at(pool * pool_size, settings.phases)
        order = epoch_order(len(featurizer.triples), pool * pool_size, pool_size, settings.seed)
        features = [f for i in order if (f := featurizer(featurizer.triples[i], phase, rng)) is not None]
        while len(features) < pool_size:  # examples that do not fit are made up for, so that a pool has one size
            f = featurizer(rng.choice(featurizer.triples), phase, rng)
            if f is not None:
                features.append(f)
        features.sort(key=lambda f: (len(f.labels) > 16, len(f.input_ids)))  # quotations apart from answers
        cut = [features[i : i + settings.batch_size] for i in range(0, pool_size, settings.batch_size)]
        rng.shuffle(cut)
        done = (start - pool * pool_size) // settings.batch_size if start > pool * pool_size else 0
        yield from cut[done:]


def epoch_order(n: int, start: int, count: int, seed: int) -> list[int]:
    """Items `start` to `start + count` of an endless series of seeded shuffles of range(n)."""
    chosen: list[int] = []
    while len(chosen) < count:
        epoch, offset = divmod(start + len(chosen), n)
        order = list(range(n))
        random.Random(f"{seed} epoch {epoch}").shuffle(order)
        chosen += order[offset : offset + count - len(chosen)]
    return chosen


class Checkpoint:
    """The state of a run in a folder: safetensors and JSON, replaced as one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, model, span_head, optimizer, seen: int, seconds: float) -> None:
        """Writes the state after `seen` examples and `seconds` of training."""
        self.folder.mkdir(parents=True, exist_ok=True)
        tensors = {f"model.{k}": p.detach() for k, p in model.named_parameters() if p.requires_grad}
        tensors |= {f"span.{k}": p.detach() for k, p in span_head.named_parameters()}
        for i, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{k}": v for k, v in state.items()}
        scratch = self.folder / "checkpoint.tmp"
        save_file(
            {k: v.contiguous().clone() for k, v in tensors.items()},
            scratch,
            metadata={"seen": str(seen), "seconds": str(seconds)},
        )
        os.replace(scratch, self.folder / "checkpoint.safetensors")

    def load(self, model, span_head, optimizer) -> tuple[int, float]:
        """Restores a saved state; (0, 0.0) where there is none."""
        path = self.folder / "checkpoint.safetensors"
        if not path.is_file():
            return 0, 0.0
        with safe_open(path, "pt") as file:
            meta = file.metadata()
        tensors = load_file(path)
        named = dict(model.named_parameters())
        with torch.no_grad():
            for key, value in tensors.items():
                if key.startswith("model."):
                    named[key.removeprefix("model.")].copy_(value)
            span_head.load_state_dict({k[5:]: v for k, v in tensors.items() if k.startswith("span.")})
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimizer."):
                _, i, name = key.split(".")
                state.setdefault(int(i), {})[name] = value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        return int(meta["seen"]), float(meta["seconds"])


def parameter_groups(model: PreTrainedModel, span_head: torch.nn.Linear, settings: Settings) -> list[dict]:
    """Encoder and decoder with their own learning rates; the embeddings stay as MiniLM has them."""
    for name, p in model.named_parameters():
        if "embed" in name or name == "model.shared.weight":
            p.requires_grad_(False)
    encoder = [p for p in model.model.encoder.parameters() if p.requires_grad]
    decoder = [p for p in model.model.decoder.parameters() if p.requires_grad]
    return [
        {"params": encoder, "rate": settings.encoder_rate},
        {"params": decoder, "rate": settings.decoder_rate},
        {"params": list(span_head.parameters()), "rate": settings.decoder_rate},
    ]


def train(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    triples: Sequence[Triple],
    folder: Path,
    settings: Settings,
    evaluate=None,
) -> list[dict]:
    """Trains in place, logging to `folder`/log.jsonl; resumes from the checkpoint there. Returns the log's new rows.

    `evaluate(model)`, where given, returns a dict of figures and is called every `evaluate_every` examples.
    """
    torch.manual_seed(settings.seed)
    device = next(model.parameters()).device
    model.set_attn_implementation("eager")  # on a CPU faster to train than the fused attention
    span_head = torch.nn.Linear(model.config.d_model, 2).to(device)
    groups = parameter_groups(model, span_head, settings)
    optimizer = torch.optim.AdamW(groups, lr=1.0, weight_decay=0.01)
    checkpoint = Checkpoint(folder)
    seen, seconds = checkpoint.load(model, span_head, optimizer)
    total = sum(p.examples for p in settings.phases)
    trained = [p for g in groups for p in g["params"]]
    featurizer = Featurizer(triples, tokenizer, settings)
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict] = []
    began, saved, sums, steps = time.monotonic() - seconds, time.monotonic(), {}, 0
    bar = tqdm(total=total, initial=seen, unit="ex", desc="training", mininterval=5, smoothing=0.05)
    model.train()
    for features in batches(featurizer, settings, seen):
        if seen >= total:
            break
        batch = {k: v.to(device) for k, v in collate(features, tokenizer.pad_token_id).items()}
        rate = schedule(seen, total, settings)
        for group in optimizer.param_groups:
            group["lr"] = group["rate"] * rate
        with torch.autocast(device.type, torch.bfloat16):
            parts = losses(model, span_head, batch)
        sum(parts.values()).backward()
        torch.nn.utils.clip_grad_norm_(trained, settings.clip)
        optimizer.step()
        optimizer.zero_grad()
        before, seen, steps = seen, seen + len(features), steps + 1
        for key, value in parts.items():
            sums[key] = sums.get(key, 0.0) + value.detach()
        bar.update(len(features))
        if steps % 50 == 0:
            row = {"seen": seen, "seconds": round(time.monotonic() - began, 1)}
            row |= {key: round(float(value) / 50, 4) for key, value in sums.items()}
            sums = {}
            bar.set_postfix({k: row[k] for k in parts})
            rows.append(row)
            append_json(folder / "log.jsonl", row)
        if (evaluate and seen // settings.evaluate_every > before // settings.evaluate_every) or seen >= total:
            model.eval()
            row = {"seen": seen, "seconds": round(time.monotonic() - began, 1)} | (evaluate(model) if evaluate else {})
            model.train()
            bar.write(json.dumps(row))
            rows.append(row)
            append_json(folder / "log.jsonl", row)
        if time.monotonic() - saved > settings.save_every or seen >= total:
            checkpoint.save(model, span_head, optimizer, seen, time.monotonic() - began)
            saved = time.monotonic()
    bar.close()
    model.eval()
    return rows


def append_json(path: Path, row: dict) -> None:
    """Adds one row to a file of JSON lines."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def train_bundled(folder: Path, share: float = 1.0, device: str = "cpu") -> None:
    """Trains the bundled generator anew from MiniLM; checkpoints, log and weights go to `folder`.

    Args:
        share: the recipe's number of examples times so much.

    Raises:
        DataUnavailable: SQuAD or QED cannot be had.
    """
    minilm, tokenizer = load_minilm()
    torch.manual_seed(0)
    model = bart_from_bert(minilm, DECODER_LAYERS, tokenizer.cls_token_id, tokenizer.sep_token_id).to(device)
    triples = load_triples([*load_public(SQUAD, "train"), *load_public(QED, "train")])
    held_out = random.Random(0).sample(list(load_public(SQUAD, "validation")), HELD_OUT)
    gold = [row["answers"]["text"] for row in held_out]

    def evaluate(model: PreTrainedModel) -> dict:
        predictions = answer_rows(Seq2SeqGenerator(model, tokenizer), held_out, progress=False)
        metrics = {"em": exact_match, "f1": f1}
        return {k: round(bootstrap(score_answers(predictions, gold, m)).mean, 4) for k, m in metrics.items()}

    phases = tuple(replace(p, examples=round(p.examples * share)) for p in Settings().phases)
    settings = Settings(phases=phases)
    train(model, tokenizer, triples, folder, settings, evaluate)
    save_perigee(model, folder / "weights")
    write_json(folder / "weights" / "training.json", asdict(settings))
    print(f"weights: {folder / 'weights'}")


def write_json(path: Path, value: object) -> None:
    """Writes a value as JSON."""
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
