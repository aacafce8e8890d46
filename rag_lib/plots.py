"""How the course's pictures look: readable from the back row, in colours that everybody can tell apart."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rag_lib.evaluation.statistics import Estimate
from rag_lib.pipeline.rag import Answer

# Okabe and Ito (2008), "Color Universal Design"
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, YELLOW, BLACK = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000",
)  # fmt: skip


def use_style() -> None:
    """Sets fonts, colours and sizes for all pictures that follow."""
    plt.rcParams.update(
        {
            "axes.prop_cycle": plt.cycler(color=[BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, BLACK]),
            "axes.spines.right": False,
            "axes.spines.top": False,
            "figure.dpi": 90,
            "figure.figsize": (8, 4),
            "font.size": 14,
            "lines.linewidth": 2.5,
        }
    )


def show(figure: Figure, alt: str) -> None:
    """Shows a picture with a text for those who cannot see it, and closes it."""
    png = BytesIO()
    figure.savefig(png, format="png", bbox_inches="tight")
    plt.close(figure)
    display({"image/png": png.getvalue(), "text/plain": alt}, metadata={"image/png": {"alt": alt}}, raw=True)


def draw_interval(ax: Axes, y: float, estimate: Estimate, colour: str) -> None:
    """Draws a mean as a dot on its interval, at the height y."""
    ax.plot([estimate.low, estimate.high], [y, y], color=colour, linewidth=4)
    ax.plot(estimate.mean, y, "o", color=BLACK, markersize=6)


def draw_estimates(ax: Axes, x: Sequence[float], estimates: Sequence[Estimate], colour: str, label: str = "") -> None:
    """Draws means over x, joined by a line, with their intervals as whiskers."""
    means = [e.mean for e in estimates]
    whiskers = [[e.mean - e.low for e in estimates], [e.high - e.mean for e in estimates]]
    ax.errorbar(x, means, yerr=whiskers, fmt="o-", capsize=4, color=colour, label=label)


def draw_before_after(estimates: Mapping[tuple[str, str], tuple[Estimate, Estimate]]) -> Figure:
    """Two estimates of each (condition, metric), before and after: a panel a metric, a row a condition."""
    conditions = list(dict.fromkeys(condition for condition, _ in reversed(estimates)))
    metrics = list(dict.fromkeys(metric for _, metric in estimates))
    size = (10, 1.4 + 0.8 * len(conditions))
    figure, axes = plt.subplots(1, len(metrics), figsize=size, sharey=True, squeeze=False)
    for ax, metric in zip(axes[0], metrics, strict=True):
        for y, condition in enumerate(conditions):
            before, after = estimates[condition, metric]
            draw_interval(ax, y + 0.12, before, ORANGE)
            draw_interval(ax, y - 0.12, after, BLUE)
        before, after = estimates[conditions[0], metric]
        ax.text(before.mean, 0.22, "before", color=ORANGE, ha="center", va="bottom")
        ax.text(after.mean, -0.22, "after", color=BLUE, ha="center", va="top")
        ax.set(xlabel=f"{metric}, 95 % interval", xlim=(-0.02, 1), ylim=(-0.7, len(conditions) - 0.5))
        ax.set_yticks(range(len(conditions)), conditions)
    figure.tight_layout()
    return figure


def draw_beams(levels: Sequence[Sequence[tuple[float, str, str]]], start: str = "<s>") -> Figure:
    """A beam search as a tree: in each level the continuations, as (probability, text so far, what becomes of it)."""
    fates = {"goes on": (GREEN, "-"), "finished": (ORANGE, "--"), "dropped": ("#777777", ":")}
    figure, ax = plt.subplots(figsize=(10, 4.6))
    ax.text(0, 1.5, start, ha="center", va="center", bbox={"boxstyle": "round", "facecolor": "white"})
    places = {start: (0.0, 1.5)}
    for x, level in enumerate(levels, start=1):
        for y, (probability, text, fate) in enumerate(level):
            places[text] = (x, 3 - y)
            before, word = text.rsplit(" ", 1)
            colour, style = fates[fate]
            ends = [places[before][0] + 0.16, x - 0.2], [places[before][1], 3 - y]
            ax.plot(*ends, color=colour, linestyle=style, linewidth=1.5)
            box = {"boxstyle": "round", "facecolor": "white", "edgecolor": colour, "linestyle": style, "linewidth": 2}
            ax.text(x, 3 - y, f"{word}  {probability:.3f}", ha="center", va="center", bbox=box, fontsize=13)
    for y, (fate, (colour, _)) in enumerate(fates.items()):
        ax.text(-0.25, 3 - 0.35 * y, fate, color=colour, fontsize=13)
    ax.set(xlim=(-0.3, len(levels) + 0.4), ylim=(-0.4, 3.4))
    ax.axis("off")
    return figure


def label_apart(ax: Axes, labels: Sequence[tuple[str, float, float, str]]) -> None:
    """Writes labels (text, x, y, colour) in frames, the lowest first, each moved up until it is clear of the others."""
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    width, height = 0.22 * (right - left), 0.055 * (top - bottom)
    placed: list[tuple[float, float]] = []
    for text, x, y, colour in sorted(labels, key=lambda label: label[2]):
        while any(abs(x - a) < width and abs(y - b) < height for a, b in placed):
            y += height / 4
        placed.append((x, y))
        box = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": colour, "linewidth": 2.5, "alpha": 0.9}
        ax.text(x, y, text, ha="center", va="center", fontsize=13, bbox=box)


def draw_flow(
    boxes: Mapping[str, tuple[float, float, str]], arrows: Sequence[tuple[str, str]], size: tuple[float, float]
) -> Figure:
    """Boxes, each with its text, place and colour, and arrows from box to box.

    Args:
        boxes: (x, y, colour) by the text; a unit is the room that a box has in either direction. Spaces around a text
            are not shown: they tell two boxes of the same text apart.
        arrows: pairs of texts.
        size: of the figure, in inches.
    """
    figure, ax = plt.subplots(figsize=size)
    boxes_on(ax, boxes, arrows)
    return figure


def show_answer(answer: Answer) -> None:
    """Shows an answer with its sources, and those that say otherwise, the words quoted marked in their sentences."""
    text = answer.text or (f"not in the documents; a guess would be: {answer.guess}" if answer.guess else "no passage")
    parts = [
        f"<p><b>Question:</b> {html.escape(answer.question)}<br>",
        f"<b>Answer:</b> {html.escape(text)} (score {answer.score:.2f})</p>",
    ]
    plain = [f"Question: {answer.question}", f"Answer:   {text} (score {answer.score:.2f})"]
    for citation in (*answer.citations, *answer.disagreeing):
        passage, words = citation.passage, html.escape(citation.words)
        sentence = html.escape(citation.sentence).replace(words, f"<mark>{words}</mark>", 1)
        if citation in answer.disagreeing:
            parts.append(f"<p>Another passage says otherwise: <b>{words}</b></p>")
            plain.append(f"Another passage says otherwise: {citation.words}")
        parts.append(
            f"<blockquote>{sentence}<br><small>{html.escape(passage.title)}, {passage.id}</small></blockquote>"
        )
        plain.append(f"Source:   {citation.sentence} [{passage.id}]")
    display({"text/html": "\n".join(parts), "text/plain": "\n".join(plain)}, raw=True)


def boxes_on(ax: Axes, boxes: Mapping[str, tuple[float, float, str]], arrows: Sequence[tuple[str, str]]) -> None:
    """Draws boxes and arrows as `draw_flow` does."""
    texts = {}
    for text, (x, y, colour) in boxes.items():
        box = {"boxstyle": "round,pad=0.4", "facecolor": colour, "edgecolor": BLACK}
        texts[text] = ax.text(x, y, text.strip(), ha="center", va="center", bbox=box, fontsize=13)
    for start, end in arrows:
        ends = {"xy": boxes[end][:2], "xytext": boxes[start][:2], "xycoords": "data"}
        patches = {"patchA": texts[start].get_bbox_patch(), "patchB": texts[end].get_bbox_patch()}
        style = {"arrowstyle": "->", "linewidth": 1.8, "shrinkA": 2, "shrinkB": 2} | patches
        ax.annotate("", **ends, arrowprops=style)
    xs, ys = zip(*((x, y) for x, y, _ in boxes.values()), strict=True)
    ax.set(xlim=(min(xs) - 0.6, max(xs) + 0.6), ylim=(min(ys) - 0.6, max(ys) + 0.6))
    ax.axis("off")


Flow = tuple[Mapping[str, tuple[float, float, str]], Sequence[tuple[str, str]]]


def draw_panels(panels: Mapping[str, Flow], size: tuple[float, float]) -> Figure:
    """Flows side by side under their titles, each as (boxes, arrows) of `draw_flow`, to be compared."""
    figure, axes = plt.subplots(1, len(panels), figsize=size, squeeze=False)
    for ax, (title, (boxes, arrows)) in zip(axes[0], panels.items(), strict=True):
        boxes_on(ax, boxes, arrows)
        ax.set_title(title)
    figure.tight_layout()
    return figure


PALE = "#DCEBF5"  # a part that the course builds

# The stations of a question, where they are drawn, and the chapters that build them.
STATIONS = {
    "text files": (0, 1.6, "white"),
    "passages\nchapter 01": (1.4, 1.6, PALE),
    "indexes\nchapters 02–04": (3, 1.6, PALE),
    "question": (0, 0, YELLOW),
    "retriever\nchapters 05, 08": (3, 0, PALE),
    "generator\nchapters 06, 09": (4.8, 0, PALE),
    "answer with\nits sources\nchapter 07": (6.5, 0, YELLOW),
}
PATHS = [
    ("text files", "passages\nchapter 01"),
    ("passages\nchapter 01", "indexes\nchapters 02–04"),
    ("indexes\nchapters 02–04", "retriever\nchapters 05, 08"),
    ("question", "retriever\nchapters 05, 08"),
    ("retriever\nchapters 05, 08", "generator\nchapters 06, 09"),
    ("generator\nchapters 06, 09", "answer with\nits sources\nchapter 07"),
]


def draw_map() -> Figure:
    """The way of a question through the system, with the chapters that build each part."""
    return draw_flow(STATIONS, PATHS, size=(11, 3.6))


# Three ways to compare a question with a passage: what is computed from each alone, and where the two first meet.
COMPARISONS = {
    "Bi-encoder": {
        "question": (0, 0, YELLOW), "passage": (1.3, 0, "white"),
        "encoder": (0, 1, PALE), "encoder ": (1.3, 1, PALE),
        "one vector": (0, 2, "white"), "one vector ": (1.3, 2, "white"),
        "cosine": (0.65, 3, YELLOW),
    },
    "Late interaction": {
        "question": (0, 0, YELLOW), "passage": (1.3, 0, "white"),
        "encoder": (0, 1, PALE), "encoder ": (1.3, 1, PALE),
        "a vector\nper token": (0, 2, "white"), "a vector\nper token ": (1.3, 2, "white"),
        "sum of the best\ncosines (MaxSim)": (0.65, 3, YELLOW),
    },
    "Cross-encoder": {
        "question": (0, 0, YELLOW), "passage": (1.3, 0, "white"),
        "one encoder reads\nboth together": (0.65, 1.5, PALE),
        "score": (0.65, 3, YELLOW),
    },
}  # fmt: skip


def draw_comparisons() -> Figure:
    """Bi-encoder, late interaction and cross-encoder side by side, from the texts (below) to the score (above)."""
    boxes, arrows = {}, []
    for column, parts in enumerate(COMPARISONS.values()):
        unique = {text: text + "  " * column for text in parts}  # as draw_flow needs them
        boxes |= {unique[text]: (x + 3.1 * column, y, colour) for text, (x, y, colour) in parts.items()}
        steps = [[u for t, u in unique.items() if parts[t][1] == y] for y in sorted({y for _, y, _ in parts.values()})]
        for below, above in pairwise(steps):
            same = len(below) == len(above)
            arrows += zip(below, above, strict=True) if same else [(b, above[0]) for b in below]
    figure = draw_flow(boxes, arrows, size=(12, 5.2))
    for column, name in enumerate(COMPARISONS):
        figure.axes[0].text(0.65 + 3.1 * column, 3.75, name, ha="center", fontweight="bold")
    figure.axes[0].set_ylim(-0.6, 4.2)
    return figure


def draw_layers(points: np.ndarray, layers: Sequence[Mapping[int, set[int]]], paths: Sequence[Sequence[int]]) -> Figure:
    """Graphs over the same points one above the other, each with the walk in it, as HNSW searches from the top down.

    Args:
        points: (n, 2); layers: for each layer from the bottom, its points with their links; paths: the walk in each.
    """
    figure, ax = plt.subplots(figsize=(10, 6.5))
    spread = (points - points.min(axis=0)) / np.ptp(points, axis=0)
    flat = np.stack([spread[:, 0] + 0.35 * spread[:, 1], 0.55 * spread[:, 1]], axis=1)  # seen from the side
    places = [flat + np.array([0, 0.85 * height]) for height in range(len(layers))]
    for height, (layer, path, place) in enumerate(zip(layers, paths, places, strict=True)):
        for i, j in ((i, j) for i, linked in layer.items() for j in linked if i < j):
            ax.plot(*place[[i, j]].T, color="lightgrey", linewidth=1, zorder=1)
        ax.scatter(*place[list(layer)].T, s=30, color=SKY, zorder=2)
        ax.plot(*place[list(path)].T, "o-", color=VERMILION, markersize=5, zorder=3)
        ax.text(1.45, 0.85 * height + 0.25, f"layer {height}\n{len(layer)} points", va="center", fontsize=13)
    for (lower, below), (upper, _) in pairwise(zip(places, paths, strict=True)):
        ax.plot(*np.stack([lower[below[0]], upper[below[0]]]).T, ":", color=BLACK, linewidth=1.5, zorder=2)
    ax.set(xlim=(-0.05, 1.75))
    ax.axis("off")
    return figure
