"""The data card's figures: `python -m rag_lib.museum.card` prints the statistics and draws data/figures anew."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt

from rag_lib.files import DATA, MODELS, read_json_lines
from rag_lib.museum.collection import (
    SPLITS,
    STYLES,
    load_articles,
    load_dialogues,
    load_dossiers,
    load_practice_questions,
    load_products,
    load_questions,
    load_splits,
    load_summaries,
    load_visitors,
)
from rag_lib.museum.kinds import KINDS
from rag_lib.plots import BLUE, ORANGE, use_style

FIGURES = DATA / "figures"


def save(figure: plt.Figure, name: str) -> None:
    """Writes a figure as SVG, the same bytes for the same data."""
    FIGURES.mkdir(exist_ok=True)
    figure.savefig(FIGURES / f"{name}.svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)


def draw_articles() -> None:
    """How long the articles are."""
    lengths = [len(a.text.split()) for a in load_articles()]
    figure, ax = plt.subplots()
    ax.hist(lengths, bins=range(180, 460, 15), color=BLUE, edgecolor="white")
    ax.set(xlabel="words in an article", ylabel="articles")
    save(figure, "article_lengths")


def draw_questions() -> None:
    """How many questions there are of each kind, in both styles."""
    figure, ax = plt.subplots(figsize=(8, 6))
    rows = range(len(KINDS))
    for style, shift, colour in zip(STYLES, (0.2, -0.2), (BLUE, ORANGE), strict=True):
        counts = Counter(q.kind for split in SPLITS for q in load_questions(split, style=style))
        bars = ax.barh([row + shift for row in rows], [counts[k] for k in KINDS], 0.4, color=colour)
        ax.bar_label(bars, padding=4, fontsize=11)
    ax.set(xlabel="questions", yticks=rows, yticklabels=KINDS)
    ax.legend(["with the article in view", "as a visitor asks"], frameon=False)
    save(figure, "question_kinds")


def draw_shop() -> None:
    """How unequally the products sell."""
    sold = Counter(p.product for v in load_visitors() for p in v.history)
    counts = sorted((sold[p.id] for p in load_products()), reverse=True)
    figure, ax = plt.subplots()
    ax.plot(range(1, len(counts) + 1), counts, color=BLUE)
    ax.set(xlabel="rank of the product", ylabel="times bought")
    save(figure, "product_popularity")


STAGES = {"read (SQuAD)": "log.jsonl", "jobs (SQuAD)": "log-jobs.jsonl", "museum": "log-museum.jsonl"}


def draw_training(folder: Path) -> None:
    """How the generator learned in each stage: its answers to held-out questions against the examples it had seen."""
    figure, axes = plt.subplots(1, len(STAGES), sharey=True, figsize=(11, 4))
    for ax, (stage, log) in zip(axes, STAGES.items(), strict=True):
        rows = read_json_lines(folder / log)
        seen, f1, em = zip(*((r["seen"] / 1000, 100 * r["f1"], 100 * r["em"]) for r in rows if "f1" in r), strict=True)
        ax.plot(seen, f1, "o-", color=BLUE, label="F1")
        ax.plot(seen, em, "s--", color=ORANGE, label="exact match")
        ax.set(xlabel="thousand examples seen", ylim=(0, 100), title=stage)
        ax.set_xlim(left=0)
    axes[0].set_ylabel("% of 300 held-out questions")
    axes[0].legend(frameon=False, loc="lower right")
    save(figure, "generator_training")


def statistics() -> dict[str, int | float]:
    """The collection in numbers."""
    articles = load_articles()
    by_style = {style: [q for split in SPLITS for q in load_questions(split, style=style)] for style in STYLES}
    questions, visitors_questions = by_style.values()
    dialogues = [d for split in SPLITS for d in load_dialogues(split)]
    turns = [t for d in dialogues for t in d.turns]
    summaries = [s for split in SPLITS for s in load_summaries(split)]
    visitors, practice = load_visitors(), load_practice_questions()
    return {
        "articles": len(articles),
        "of them about the museum itself, fictional": sum(a.metadata.get("fictional") == "yes" for a in articles),
        "words in articles": sum(len(a.text.split()) for a in articles),
        **{f"articles in {split}": list(load_splits().values()).count(split) for split in SPLITS},
        "questions with an answer": sum(bool(q.evidence) for q in questions),
        "of them with two articles as evidence": sum(len(q.evidence) == 2 for q in questions),
        "questions without an answer": sum(not q.evidence for q in questions),
        **{f"questions in {split}": len(load_questions(split)) for split in SPLITS},
        "visitors' questions with an answer": sum(bool(q.evidence) for q in visitors_questions),
        "of them asking yes or no": sum(bool(q.verdict) for q in visitors_questions),
        "visitors' questions without an answer": sum(not q.evidence for q in visitors_questions),
        **{f"visitors' questions in {split}": len(load_questions(split, style=STYLES[1])) for split in SPLITS},
        "practice questions": len(practice),
        "of them with sentences that mislead": sum(bool(q.traps) for q in practice),
        "dialogues": len(dialogues),
        "visitors' turns": len(turns),
        "of them outside the collection": sum(t.evidence is None for t in turns),
        "dossiers": len(load_dossiers()),
        "of them with a summary for a question": sum(bool(s.question) for s in summaries),
        "products": len(load_products()),
        "simulated visitors of the shop": len(visitors),
        "their purchases": sum(len(v.history) for v in visitors),
    }


if __name__ == "__main__":
    use_style()
    plt.rcParams["svg.hashsalt"] = "perigee"
    draw_articles()
    draw_questions()
    draw_shop()
    draw_training(MODELS / "perigee-bart")
    for name, value in statistics().items():
        print(f"| {name} | {value:,} |")
