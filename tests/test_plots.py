"""The figure of a schedule, through what matplotlib drew. To be replaced by tests/schedules/test_figure.py."""

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

import learnrate as lr


@pytest.fixture(autouse=True)
def close_all():
    yield
    pyplot.close("all")


def lines(ax):
    return [line.get_xydata() for line in ax.lines]


def test_a_schedule_is_drawn_over_its_length():
    ax = lr.linear(1.0, 0.0, 10).plot()
    np.testing.assert_allclose(lines(ax)[0], [(n, 1 - n / 10) for n in range(11)], atol=1e-12)
    assert "linear(start=1.0" in ax.get_title(loc="left")


@pytest.mark.parametrize(
    ("schedule", "updates"),
    [
        (lr.triangular(0.1, 1.0, 7), 70),
        (lr.constant(0.1), 100),
        (lr.warmup(0.1, 10) >> lr.triangular(0.1, 1.0, 7), 80),
        (lr.one_cycle(1.0, 50_000), 50_000),
    ],
)
def test_an_endless_or_long_schedule_is_drawn_over_what_shows_its_character(schedule, updates):
    (drawn, *_) = lines(schedule.plot())
    assert drawn[-1, 0] == updates
    assert len(drawn) <= 4001
    np.testing.assert_allclose(drawn[:, 1], schedule(drawn[:, 0].astype(int)))


def test_draws_into_given_axes_and_returns_them():
    ax = Figure().subplots()
    assert lr.constant(1.0).plot(20, ax=ax) is ax
    assert pyplot.get_fignums() == []


@pytest.mark.parametrize("updates", [0, -1])
def test_nothing_is_not_drawn(updates):
    with pytest.raises(ValueError, match="updates must be at least 1"):
        lr.constant(1.0).plot(updates)


def test_a_notebook_shows_a_picture_and_pyplot_keeps_none():
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    picture = (lr.warmup(0.1, 10) >> lr.cosine(0.1, 0, 90))._repr_svg_()
    assert picture.startswith("<svg")
    assert "</svg>" in picture
    assert pyplot.get_fignums() == before


def test_momentum_is_not_flattened_by_an_axis_from_0():
    ax = lr.one_cycle(1.0, 100).mirrored(0.85, 0.95).plot()
    assert ax.get_ylim()[0] > 0.8
    assert lr.cosine(0.1, 0, 10).plot().get_ylim()[0] == 0
