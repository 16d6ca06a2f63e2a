"""The canvas of figures: axes, files and SVG."""

import re
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib import pyplot

import learnrate as lr
from learnrate import figures
from learnrate.errors import MissingExtraError, OutputError
from learnrate.study import Comparison, Outcome, Training
from learnrate.study.report.figure import draw_losses, draw_scores


def test_a_new_figure_has_its_axes_side_by_side_and_pyplot_does_not_keep_it():
    figure, axes = figures.new_figure(8, 4, columns=2)
    assert figure.axes == axes
    assert len({ax.get_subplotspec().colspan.start for ax in axes}) == 2
    assert tuple(figure.get_size_inches()) == (8, 4)
    assert pyplot.get_fignums() == []


def test_axes_are_new_only_if_none_are_given():
    ax = figures.axes_or_new(None)
    assert pyplot.get_fignums() == [ax.figure.number]
    assert figures.axes_or_new(ax) is ax
    assert pyplot.get_fignums() == [ax.figure.number]


def test_a_figure_is_saved_as_png(tmp_path):
    figure, _ = figures.new_figure(2, 1)
    figures.save(figure, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]
    with pytest.raises(OutputError, match="cannot write"):
        figures.save(figure, tmp_path / "missing" / "figure.png")


def test_svg_is_one_element_that_fits_into_a_page():
    figure, (ax,) = figures.new_figure(2, 1)
    ax.plot([0, 1], [0, 1])
    text = figures.svg(figure)
    assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert not re.search(r"<\?xml|<!DOCTYPE", text)


def test_two_svgs_of_one_page_share_no_id():
    def identities():
        figure, (ax,) = figures.new_figure(2, 1)
        ax.plot([0, 1], [0, 1])
        return set(re.findall(r'clipPath id="([^"]+)"', figures.svg(figure)))

    assert identities().isdisjoint(identities())


def test_a_long_title_is_wrapped_and_a_long_word_is_not_broken():
    lines = figures.wrap("word " * 40 + "x" * 200).split("\n")
    assert max(map(len, lines[:-1])) <= figures.TITLE_WIDTH
    assert lines[-1] == "x" * 200


@pytest.mark.parametrize("call", [figures.require, lambda: figures.axes_or_new(None)], ids=["require", "axes_or_new"])
def test_without_matplotlib_the_error_names_the_extra(call, monkeypatch):
    for name in ("matplotlib", "matplotlib.figure", "matplotlib.pyplot"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'learnrate\[plots\]'") as raised:
        call()
    assert raised.value.name == "matplotlib"


@pytest.mark.parametrize("name", ["c$_^$x", "$", "caf\udce9", r"\\$", "字"])
@pytest.mark.filterwarnings("ignore:Glyph")
def test_a_text_of_the_user_is_shown_as_it_is(tmp_path, name):
    lrs = np.geomspace(1e-6, 1.0, 20)
    curve = lr.Curve(lrs, np.linspace(2, 1, 20), {name: lrs})
    ax = curve.plot(metric=name)
    ax.set_title(figures.wrap(name))
    figures.save(ax.figure, tmp_path / "figure.png")
    trainings = tuple(Training(seed, 0.5, (1.0, 0.5), (1, 2), (0.1, 0.5), name) for seed in range(2))
    for draw in (draw_losses, draw_scores):
        figures.save(draw(Comparison(2, (Outcome(name, "constant(0.1)", 2, trainings),))).figure, tmp_path / "figure.png")
