"""The figures of a comparison, through what matplotlib drew."""

import numpy as np
import pytest

from learnrate import figures
from learnrate.study import Comparison, Outcome, Training
from learnrate.study.report.figure import draw_losses, draw_scores

UPDATES = 40


def training(seed, measured, updates=UPDATES, sign=1):
    checkpoints = tuple(range(4, updates + 1, 4)) if measured else ()
    losses = tuple(sign / (n + seed + 1) for n in range(updates))
    return Training(seed, 0.9, losses, checkpoints, tuple(1 - 1 / n for n in checkpoints), "accuracy")


def comparison(measured=True, sign=1):
    """Two schedules and two seeds. The last training run diverged early, so its series are shorter."""
    plan = Outcome("plan", "constant(0.2)", UPDATES, (training(0, measured, sign=sign), training(1, measured, sign=sign)))
    short = training(1, measured, updates=11, sign=sign)
    return Comparison(
        UPDATES, (plan, Outcome("constant", "constant(0.1)", UPDATES, (training(0, measured, sign=sign), short)))
    )


@pytest.fixture
def axes():
    return figures.new_figure(8, 4, columns=2)[1]


def test_losses_have_a_line_for_each_seed_and_for_their_mean(axes):
    draw_losses(comparison(), axes[0])
    assert [len(line.get_xdata()) for line in axes[0].lines] == [40, 40, 40, 40, 11, 11]
    first, second, mean = (line.get_ydata() for line in axes[0].lines[:3])
    np.testing.assert_allclose(mean, (first + second) / 2)
    assert [text.get_text() for text in axes[0].get_legend().get_texts()] == ["plan", "constant"]


def test_scores_have_a_line_for_each_seed_and_for_their_mean(axes):
    draw_scores(comparison(), axes[0])
    assert [len(line.get_xdata()) for line in axes[0].lines] == [10, 10, 10, 10, 2, 2]
    plan, constant = (text.get_text() for text in axes[0].get_legend().get_texts())
    assert plan.startswith("plan: 0.9000")
    assert constant.startswith("constant: 0.9000")


def test_every_arm_is_drawn_and_looks_different(axes):
    arms = [Outcome(f"arm {number}", "constant(0.1)", UPDATES, (training(0, True),)) for number in range(6)]
    for draw, ax in zip((draw_losses, draw_scores), axes, strict=True):
        draw(Comparison(UPDATES, tuple(arms)), ax)
        assert len(ax.get_legend().get_texts()) == 6
        assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines}) == 6


def test_a_mean_is_drawn_at_the_checkpoints_that_all_seeds_have(axes):
    diverged = Training(1, 0.1, (1.0,) * 5, (2, 4, 5), (0.1, 0.2, 0.0))
    complete = Training(0, 0.9, (1.0,) * 8, (2, 4, 6, 8), (0.3, 0.4, 0.5, 0.6))
    draw_scores(Comparison(8, (Outcome("plan", "constant(0.1)", 8, (diverged, complete)),)), axes[0])
    mean = axes[0].lines[-1]
    np.testing.assert_allclose(mean.get_xydata(), [(2, 0.2), (4, 0.3)])


def test_a_comparison_without_scores_has_a_figure(axes):
    draw_scores(comparison(measured=False), axes[0])
    assert axes[0].get_legend() is None
    draw_losses(Comparison(UPDATES, (Outcome("plan", "constant(0.2)", UPDATES),)), axes[1])
    assert not axes[1].lines


def test_negative_losses_are_drawn_on_a_linear_scale(axes):
    draw_losses(comparison(), axes[0])
    draw_losses(comparison(sign=-1), axes[1])
    assert [ax.get_yscale() for ax in axes] == ["log", "linear"]
    assert axes[1].get_ylim()[0] < 0
