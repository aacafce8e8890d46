"""`python -m benchmarks`: a table, a CSV file and a picture for each subject."""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from benchmarks.side_by_side import Row, machine
from rag_lib.files import write_atomically

SUBJECTS = "bm25 vectors encoding answer pipeline start growth course".split()


def draw(rows: Sequence[Row], path: Path) -> None:
    """How fast each peer is beside the first, with quartiles."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    from rag_lib.plots import BLACK, BLUE, ORANGE, use_style

    use_style()
    figure, ax = plt.subplots(figsize=(12, 1 + 0.45 * len(rows)))
    places = range(len(rows), 0, -1)
    colours = [ORANGE if "rag_lib" in row.peer else BLUE for row in rows]
    ax.barh(places, [row.ratio for row in rows], color=colours)
    whiskers = [[r.ratio - r.ratio_low for r in rows], [r.ratio_high - r.ratio for r in rows]]
    ax.errorbar([row.ratio for row in rows], places, xerr=whiskers, fmt="none", color=BLACK, capsize=3)
    ax.set_yticks(places, [f"{row.case}: {row.peer}" for row in rows], fontsize=10)
    ax.axvline(1, color=BLACK, linewidth=1)
    ax.set_xscale("log")
    ax.set_xlabel("speed, as a multiple of the first peer's (log scale)")
    ax.set_title(rows[0].subject, loc="left")
    figure.savefig(path, bbox_inches="tight")
    plt.close(figure)


def save(rows: Sequence[Row], folder: Path, about: str) -> None:
    """Writes all figures as CSV, under a line that says what they were measured on."""
    text = io.StringIO(f"# {about}\n")
    text.seek(0, io.SEEK_END)
    writer = csv.DictWriter(text, fieldnames=list(asdict(rows[0])))
    writer.writeheader()
    writer.writerows(map(asdict, rows))
    write_atomically(folder / "benchmarks.csv", text.getvalue().encode())


def main() -> None:
    """Measures the subjects one after the other."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="How fast, beside trusted peers.")
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=f"of {', '.join(SUBJECTS)} (default: all)")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000], metavar="N", help="passages")
    parser.add_argument("--rounds", type=int, default=5, metavar="R", help="turns that each peer takes (default: 5)")
    parser.add_argument("--items", type=int, default=200, metavar="N", help="queries or texts (default: 200)")
    parser.add_argument("--output", type=Path, default=Path("build/benchmarks"), metavar="FOLDER")
    options = parser.parse_args()
    if unknown := set(options.subjects) - set(SUBJECTS):
        parser.error(f"no subject is called {sorted(unknown)[0]}; there are {', '.join(SUBJECTS)}")
    if min(*options.sizes, options.rounds, options.items, 1 << 60) < 1:
        parser.error("sizes, rounds and items must be at least 1")
    options.output.mkdir(parents=True, exist_ok=True)
    about, everything = machine(), []
    print(about)
    for subject in options.subjects or SUBJECTS:
        print(f"{subject}: medians of {options.rounds} rounds [quartiles]", flush=True)
        rows: list[Row] = []
        for row in import_module(f"benchmarks.{subject}").measure(options.sizes, options.rounds, options.items):
            if not rows or rows[-1].case != row.case:
                print(f" {row.case}")
            print(row.line(), flush=True)
            rows.append(row)
        if rows:
            draw(rows, options.output / f"{subject}.png")
            everything += rows
            save(everything, options.output, about)
    print(f"written to {options.output}")


if __name__ == "__main__":
    main()
