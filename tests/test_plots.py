"""Pictures: real figures, looked at through what matplotlib drew."""

import dataclasses

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

import learnrate as lr
from learnrate import plots
from learnrate.study import Arm, Comparison, Training

LRS = np.geomspace(1e-6, 1.0, 60)
CURVE = lr.Curve(
    LRS, np.where(LRS < 1e-3, 2.0, 2.0 - np.log10(LRS / 1e-3) / 2 + 3 * np.clip(np.log10(LRS / 0.1), 0, None) ** 2)
)


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
    assert CURVE.plot(ax=ax) is ax
    assert pyplot.get_fignums() == []


def test_the_curve_shows_its_bounds():
    ax = CURVE.plot()
    bounds = CURVE.bounds()
    drawn = {line[0, 0] for line in lines(ax)[2:]}
    assert drawn == {bounds.base_lr, bounds.max_lr, bounds.lr}
    words = [text.get_text() for text in ax.texts]
    assert words == [f"base_lr {bounds.base_lr:.2g}", f"lr {bounds.lr:.2g}", f"max_lr {bounds.max_lr:.2g}"]
    assert ax.get_xscale() == "log"


def test_a_curve_without_an_answer_shows_why():
    ax = lr.Curve(LRS, np.full(60, 2.0)).plot()
    assert "exactly 2 at every update" in ax.get_title(loc="left").replace("\n", " ")


@pytest.mark.parametrize("updates", [0, -1])
def test_nothing_is_not_drawn(updates):
    with pytest.raises(ValueError, match="updates must be at least 1"):
        lr.constant(1.0).plot(updates)


def comparison(measured):
    def training(seed, length=40):
        marks = tuple(range(4, length + 1, 4)) if measured else ()
        return Training(seed, 0.9, tuple(1 / (n + seed + 1) for n in range(length)), marks, tuple(1 - 1 / m for m in marks))

    plan = Arm("plan", lr.constant(0.2), (training(0), training(1)))
    # One training diverged early: its curve is shorter.
    return Comparison("accuracy", 40, (plan, Arm("constant", lr.constant(0.1), (training(0), training(1, length=11)))))


@pytest.mark.parametrize("measured", [True, False])
def test_comparisons_are_drawn_with_every_seed(measured, tmp_path):
    figure, (left, right) = plots.new_figure(8, 4, columns=2)
    plots.draw_losses(comparison(measured), left)
    plots.draw_scores(comparison(measured), right)
    assert len(left.lines) == 2 * 3
    assert len(right.lines) == (2 * 3 if measured else 4)
    plots.save(figure, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert pyplot.get_fignums() == []


def test_losses_below_zero_are_drawn_on_a_plain_scale():
    figure, (above, below) = plots.new_figure(8, 4, columns=2)
    plots.draw_losses(comparison(True), above)
    lowered = [
        dataclasses.replace(
            arm, trainings=tuple(dataclasses.replace(t, losses=tuple(-x for x in t.losses)) for t in arm.trainings)
        )
        for arm in comparison(True).arms
    ]
    plots.draw_losses(dataclasses.replace(comparison(True), arms=tuple(lowered)), below)
    assert (above.get_yscale(), below.get_yscale()) == ("log", "linear")
    assert below.get_ylim()[0] < 0
    pyplot.close(figure)


def test_a_notebook_shows_a_picture_and_pyplot_keeps_none():
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    picture = (lr.warmup(0.1, 10) >> lr.cosine(0.1, 0, 90))._repr_svg_()
    assert picture.startswith("<?xml")
    assert "</svg>" in picture
    assert pyplot.get_fignums() == before


def test_momentum_is_not_flattened_by_an_axis_from_0():
    ax = lr.one_cycle(1.0, 100).mirrored(0.85, 0.95).plot()
    assert ax.get_ylim()[0] > 0.8
    assert lr.cosine(0.1, 0, 10).plot().get_ylim()[0] == 0
