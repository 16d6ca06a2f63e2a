"""The figure of a schedule: what matplotlib draws."""

import re

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

import learnrate as lr


def curve(ax):
    (line,) = ax.lines
    return line.get_xydata()


def test_a_schedule_is_drawn_over_its_length():
    ax = lr.linear(1.0, 0.0, 10).plot()
    np.testing.assert_allclose(curve(ax), [(n, 1 - n / 10) for n in range(11)], atol=1e-12)
    assert "linear(start=1.0" in ax.get_title(loc="left")
    assert pyplot.get_fignums() == [ax.figure.number]


@pytest.mark.parametrize(
    ("schedule", "updates"),
    [
        (lr.one_cycle(1.0, 50_000), 50_000),
        (lr.multistep(1, 0.1, (30_000, 60_000)), 300_000),
        (lr.step_decay(1, 0.1, 3000), 15_000),
        (lr.noam(512), 20_000),
        (lr.triangular(0, 1, 70), 700),
        (lr.exponential_decay(1, 0.9, every=50).clip(low=0.1), 250),
        (lr.constant(1), 100),
        (lr.warmup(1, 30) >> lr.triangular2(0, 1, 10), 130),
    ],
    ids=repr,
)
def test_the_figure_shows_a_finite_schedule_or_the_form_of_an_endless_one(schedule, updates):
    ax = schedule.plot()
    points = curve(ax)
    assert ax.get_xlim() == (0, updates)
    assert points[-1, 0] == updates
    assert len(points) <= 4001
    np.testing.assert_allclose(points[:, 1], schedule(points[:, 0].astype(int)))


def test_it_draws_into_given_axes():
    ax = Figure().subplots()
    assert lr.constant(1.0).plot(20, ax=ax) is ax
    assert ax.get_xlim() == (0, 20)
    assert pyplot.get_fignums() == []


def test_the_axis_starts_at_0_except_for_a_narrow_range():
    assert lr.cosine(0.1, 0, 10).plot().get_ylim()[0] == 0
    assert lr.one_cycle(1.0, 100).mirrored(0.85, 0.95).plot().get_ylim()[0] > 0.8


def test_a_notebook_shows_the_expression_and_one_picture():
    schedule = lr.warmup(0.1, 10) >> lr.cosine(0.1, 0, 90)
    html = schedule._repr_html_()
    assert "warmup(max_lr=0.1, length=10) &gt;&gt; cosine(start=0.1, end=0.0, length=90)" in html
    assert len(re.findall("<svg", html)) == len(re.findall("</svg>", html)) == 1
    assert pyplot.get_fignums() == []
