"""The notebooks for those who see otherwise, hear them, or sit in the back row."""

import ast
import itertools
import json
import re

import numpy as np
import pytest
from conftest import ROOT

from rag_lib import plots

NOTEBOOKS = [p for folder in ("notebooks", "exercises", "solutions") for p in sorted((ROOT / folder).glob("*.ipynb"))]
NAMES = "BLUE ORANGE GREEN VERMILION PURPLE SKY YELLOW BLACK".split()
CLEARLY_DIFFERENT = 10  # in CAM02-UCS, where about 1 can just be told apart
FONT, SMALLEST_FONT = 14, 11  # points: what the style sets, and the least that a picture may ask for
POINTS_PER_INCH = 0.9  # of a figure's width: an eightieth of a projector's width is still read from the back row


def cells(path, kind: str) -> list[str]:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == kind]


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_headings_go_down_one_level_at_a_time_from_one_title(path):
    text = without_code("\n".join(cells(path, "markdown")))
    levels = [len(marks) for marks in re.findall(r"^(#+) ", text, re.MULTILINE)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert max(np.diff(levels)) <= 1, "a level is left out"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_pictures_and_links_in_the_prose_have_words(path):
    text = without_code("\n".join(cells(path, "markdown")))
    assert all(len(alt) > 5 for alt in re.findall(r"!\[([^]]*)\]\(", text))
    assert not re.search(r"<img(?![^>]*\balt=)", text)
    names = re.findall(r"(?<!!)\[([^][]+)\]\(", text)
    assert not {"here", "link", "this"} & {name.lower() for name in names}, "a link is read out of its context"


def distances(colours: list[str], kind: str) -> list[float]:
    """How far apart colours are for somebody who lacks a kind of cones (Machado et al., 2009), in CAM02-UCS."""
    colorspacious = pytest.importorskip("colorspacious")
    space = {"name": "sRGB1+CVD", "cvd_type": kind, "severity": 100}
    rgb = np.array([[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for colour in colours])
    seen = np.clip(colorspacious.cspace_convert(rgb, space, "sRGB1"), 0, 1)
    return [colorspacious.deltaE(a, b, input_space="sRGB1") for a, b in itertools.combinations(seen, 2)]


@pytest.mark.parametrize("kind", ["deuteranomaly", "protanomaly", "tritanomaly"])
def test_everybody_can_tell_the_colours_of_the_pictures_apart(kind):
    assert min(distances([getattr(plots, name) for name in NAMES], kind)) > CLEARLY_DIFFERENT


def test_the_measure_finds_a_pair_that_is_known_to_be_bad():
    assert distances(["#5f9e3b", "#b5803a"], "deuteranomaly")[0] < CLEARLY_DIFFERENT, "leaf green and light brown"


def test_pictures_use_the_palette_and_large_letters():
    import matplotlib.pyplot as plt

    with plt.rc_context():
        plots.use_style()
        used = [entry["color"] for entry in plt.rcParams["axes.prop_cycle"]]
        assert set(used) <= {getattr(plots, name) for name in NAMES}
        assert plt.rcParams["font.size"] >= FONT and plt.rcParams["lines.linewidth"] >= 2


def sizes(code: str) -> tuple[list[float], list[float]]:
    """Font sizes and figure widths that a piece of code names."""
    fonts, widths = [], []
    for keyword in (n for n in ast.walk(ast.parse(code)) if isinstance(n, ast.keyword)):
        if keyword.arg in ("fontsize", "labelsize") and isinstance(keyword.value, ast.Constant):
            fonts.append(keyword.value.value)
        if keyword.arg == "figsize" and isinstance(keyword.value, ast.Tuple):
            widths += [w.value for w in keyword.value.elts[:1] if isinstance(w, ast.Constant)]
    return fonts, widths


def test_no_letters_are_too_small_for_the_back_row():
    codes = [(ROOT / "rag_lib" / "plots.py").read_text(encoding="utf-8")]
    codes += [re.sub(r"^\s*[!%].*$", "0", code, flags=re.MULTILINE) for p in NOTEBOOKS for code in cells(p, "code")[1:]]
    named = [sizes(code) for code in codes]
    fonts = [font for found, _ in named for font in found if not isinstance(font, str)]
    assert len(fonts) > 10 and min(fonts) >= SMALLEST_FONT
    figures = [(min([FONT, *found]), max(widths)) for found, widths in named if widths]
    assert len(figures) > 10 and all(font / width >= POINTS_PER_INCH for font, width in figures)
