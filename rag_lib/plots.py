"""How the course's pictures look: readable from the back row, in colours that everybody can tell apart."""

from __future__ import annotations

import html
from io import BytesIO

import matplotlib.pyplot as plt
from IPython.display import display
from matplotlib.figure import Figure

from rag_lib.pipeline import Answer

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


# The stations of a question, where they are drawn, and the chapters that build them.
STATIONS = {
    "text files": (0, 1, ""),
    "passages": (1, 1, "01"),
    "indexes": (2, 1, "02–04"),
    "question": (0, 0, ""),
    "retriever": (2, 0, "05, 08"),
    "generator": (3, 0, "06, 09"),
    "answer with\nits sources": (4, 0, "07"),
}
PATHS = [
    ("text files", "passages"),
    ("passages", "indexes"),
    ("indexes", "retriever"),
    ("question", "retriever"),
    ("retriever", "generator"),
    ("generator", "answer with\nits sources"),
]


def draw_map() -> Figure:
    """The way of a question through the system, with the chapters that build each part."""
    figure, ax = plt.subplots(figsize=(10, 3.4))
    for name, (x, y, chapters) in STATIONS.items():
        colour = {"question": YELLOW, "answer with\nits sources": YELLOW}.get(
            name, "white" if not chapters else "#DCEBF5"
        )
        box = {"boxstyle": "round,pad=0.5", "facecolor": colour, "edgecolor": BLACK}
        ax.text(x, y, name, ha="center", va="center", bbox=box, fontsize=13)
        if chapters:
            ax.text(x, y - 0.36, f"chapter {chapters}", ha="center", va="center", fontsize=11, color=BLUE)
    for start, end in PATHS:
        (x0, y0, _), (x1, y1, _) = STATIONS[start], STATIONS[end]
        vertical = x0 == x1
        ax.annotate(
            "",
            xy=(x1, y1 + 0.2) if vertical else (x1 - 0.4, y1),
            xytext=(x0, y0 - 0.45) if vertical else (x0 + 0.4, y0),
            arrowprops={"arrowstyle": "->", "linewidth": 1.8},
        )
    ax.set(xlim=(-0.6, 4.6), ylim=(-0.55, 1.4))
    ax.axis("off")
    return figure


def show_answer(answer: Answer) -> None:
    """Shows an answer with its sources, the words it quotes marked in their sentence."""
    text = answer.text or (f"not in the documents; a guess would be: {answer.guess}" if answer.guess else "no passage")
    parts = [
        f"<p><b>Question:</b> {html.escape(answer.question)}<br>",
        f"<b>Answer:</b> {html.escape(text)} (score {answer.score:.2f})</p>",
    ]
    plain = [f"Question: {answer.question}", f"Answer:   {text} (score {answer.score:.2f})"]
    for citation in answer.citations:
        passage = citation.passage
        words = passage.text[citation.start - passage.start : citation.end - passage.start]
        sentence = html.escape(citation.sentence).replace(html.escape(words), f"<mark>{html.escape(words)}</mark>", 1)
        parts.append(
            f"<blockquote>{sentence}<br><small>{html.escape(passage.title)}, {passage.id}</small></blockquote>"
        )
        plain.append(f"Source:   {citation.sentence} [{passage.id}]")
    display({"text/html": "\n".join(parts), "text/plain": "\n".join(plain)}, raw=True)
