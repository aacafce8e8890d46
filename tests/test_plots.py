"""The diagrams show what they are meant to show."""

import matplotlib.pyplot as plt
import numpy as np

from rag_lib.plots import COMPARISONS, PATHS, STATIONS, draw_comparisons, draw_flow, draw_layers, draw_map


def texts(figure) -> list[str]:
    plt.close(figure)
    return [text.get_text() for text in figure.axes[0].texts if text.get_text()]


def test_two_boxes_may_bear_the_same_text():
    figure = draw_flow({"a": (0, 0, "white"), "a ": (1, 0, "white")}, [("a", "a ")], (3, 1))
    assert texts(figure) == ["a", "a"]


def test_the_map_has_every_station_and_path():
    figure = draw_map()
    arrows = [text for text in figure.axes[0].texts if getattr(text, "arrow_patch", None)]
    assert len(arrows) == len(PATHS)
    assert texts(figure) == list(STATIONS)


def test_only_the_cross_encoder_reads_both_texts_together():
    figure = draw_comparisons()
    arrows = [text for text in figure.axes[0].texts if getattr(text, "arrow_patch", None)]
    assert len(arrows) == 6 + 6 + 3
    assert texts(figure).count("encoder") == 4
    assert set(COMPARISONS) < set(texts(figure))


def test_layers_are_joined_where_a_walk_goes_down():
    points = np.random.default_rng(0).uniform(size=(4, 2))
    layers = [{0: {1}, 1: {0, 2}, 2: {1, 3}, 3: {2}}, {0: {2}, 2: {0}}]
    figure = draw_layers(points, layers, [[2, 3], [0, 2]])
    dotted = [line for line in figure.axes[0].lines if line.get_linestyle() == ":"]
    assert texts(figure) == ["layer 0\n4 points", "layer 1\n2 points"]
    assert len(dotted) == 1 and np.ptp(dotted[0].get_xdata()) == 0, "straight down"
