"""The figures of results, through what matplotlib drew."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.colors import to_hex

from comparisons import KINDS, arm, broken, training, usual
from learnrate import figures
from learnrate.study import Comparison, Outcome, Training
from learnrate.study.report.figure import draw_curves, draw_differences, draw_schedules, draw_seeds, draw_times


@pytest.fixture
def ax():
    return figures.new_figure(6, 4)[1][0]


def test_a_band_is_one_standard_deviation_around_the_mean(ax):
    comparison = usual()
    draw_curves(comparison, ax)
    scores = np.array([training.scores for training in comparison["one cycle"].trainings])
    np.testing.assert_allclose(ax.lines[0].get_ydata(), scores.mean(axis=0))
    band = next(collection for collection in ax.collections if isinstance(collection, FillBetweenPolyCollection))
    end = band.get_paths()[0].vertices
    heights = end[end[:, 0] == 200][:, 1]
    mean, spread = scores.mean(axis=0)[-1], scores.std(axis=0, ddof=1)[-1]
    assert (heights.min(), heights.max()) == pytest.approx((mean - spread, mean + spread))


def test_an_arm_with_a_diverged_training_is_drawn_up_to_there(ax):
    draw_curves(broken(), ax)
    assert [line.get_xdata()[-1] for line in ax.lines] == [200, 40, 200]
    assert all(np.isfinite(line.get_ydata()).all() for line in ax.lines)


def test_differences_are_those_to_the_best_arm_and_filled_where_they_are_sure(ax):
    def arm(name, *scores):
        return Outcome(
            name, "constant(0.1)", 9, tuple(Training(n, score, (1.0,), metric="a") for n, score in enumerate(scores))
        )

    comparison = Comparison(9, (arm("b", 0.80, 0.82, 0.81), arm("best", 0.9, 0.92, 0.912), arm("near", 0.9, 0.91, 0.9)))
    draw_differences(comparison, ax)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["near", "b"]
    points = {line.get_ydata()[0]: line for line in ax.lines if line.get_marker() == "o"}
    between = {
        difference.first: difference
        for difference in comparison.differences()
        if "best" in (difference.first, difference.second)
    }
    assert points[1].get_xdata()[0] == pytest.approx(between["b"].mean)
    assert points[0].get_xdata()[0] == pytest.approx(-between["best"].mean)
    fills = {height: to_hex(line.get_markerfacecolor()) for height, line in points.items()}
    assert fills[0] == "#ffffff" != fills[1]
    bars = [line.get_xdata() for line in ax.lines if len(line.get_xdata()) == 2 and line.get_marker() == "|"]
    assert bars[1] == pytest.approx(between["b"].interval)


def test_a_difference_without_an_interval_has_open_ends(ax):
    draw_differences(KINDS["one seed"], ax)
    assert [line.get_marker() for line in ax.lines].count("<") == 2
    low, high = ax.get_xlim()
    assert low < KINDS["one seed"].differences()[0].mean * -1 < high


def test_the_share_that_has_reached_a_target_rises_by_its_trainings_and_marks_the_censored(ax):
    def arm(name, *reached):
        trainings = [
            Training(
                seed, 0.5, (1.0,), (100, 200, 300), tuple(0.9 if n >= at else 0.1 for n in (100, 200, 300)), "a", updates=300
            )
            for seed, at in enumerate(reached)
        ]
        return Outcome(name, "constant(0.1)", 300, tuple(trainings))

    comparison = Comparison(300, (arm("some", 100, 300, 999, 999), arm("all", 100, 100, 200, 200)))
    draw_times(comparison, 0.8, ax)
    steps = [line for line in ax.lines if line.get_drawstyle() == "steps-post"]
    assert steps[0].get_xdata().tolist() == [0, 100, 300, 300]
    assert steps[0].get_ydata() == pytest.approx([0, 0.25, 0.5, 0.5], abs=0.01)
    assert steps[1].get_xdata().tolist() == [0, 100, 200, 300]
    assert steps[1].get_ydata() == pytest.approx([0, 0.5, 1, 1], abs=0.01)
    (marks,) = [line for line in ax.lines if line.get_marker() == "|"]
    assert marks.get_xdata().tolist() == [300, 300]


def test_a_diverged_training_never_reaches_the_target_and_is_not_censored(ax):
    draw_times(broken(), 0.85, ax)
    marks = [line for line in ax.lines if line.get_marker() == "|"]
    assert [len(line.get_xdata()) for line in marks] == [
        2
    ]  # of "fails"; "diverges" has two that reach it, and one that diverged
    steps = [line for line in ax.lines if line.get_drawstyle() == "steps-post"]
    assert max(steps[1].get_ydata()) == pytest.approx(2 / 3, abs=0.01)


def test_scores_of_seeds_are_points_and_means_are_bars(ax):
    comparison = usual()
    draw_seeds(comparison, ax)
    points = [line for line in ax.lines if line.get_marker() == "o"]
    assert [sorted(line.get_xdata()) for line in points] == [sorted(arm.scores) for arm in comparison.ranking()]
    bars = [line.get_xdata()[0] for line in ax.lines if line.get_linewidth() == 2.4]
    assert bars == pytest.approx([arm.mean for arm in comparison.ranking()])


def test_schedules_are_drawn_where_they_can_be_read(ax):
    draw_schedules(broken(), ax)
    assert len(ax.lines) == 3
    values = draw_schedules(usual(), figures.new_figure(4, 3)[1][0]).lines[1].get_ydata()
    assert values[0] == 0.2
    assert values[-1] == 0


def test_twelve_arms_look_different(ax):
    draw_curves(KINDS["twelve arms"], ax)
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines}) == 12


def far_apart(level):
    """Two usual arms, and one whose scores are finite but as large as those of a training that has diverged."""
    trainings = [replace(training(seed, 0.9), score=level * (seed + 1), scores=(level,) * 10) for seed in range(3)]
    return Comparison(200, (arm("a", 0.95), arm("b", 0.93), Outcome("far", "constant(9)", 200, tuple(trainings))))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("level", [-1e12, -1e160, -1e300])
def test_an_arm_that_lies_far_outside_hides_no_other(level):
    compared = far_apart(level)
    for draw, name in ((draw_curves, "y"), (draw_differences, "x"), (draw_seeds, "x")):
        (ax,) = figures.new_figure(6, 4)[1]
        draw(compared, ax)
        low, high = getattr(ax, f"get_{name}lim")()
        assert -1 < low < high < 2
        if draw is draw_seeds:
            outside = [line for line in ax.lines if line.get_marker() == "<"]
            assert [len(line.get_xdata()) for line in outside] == [3]
    assert [ranked.name for ranked in compared.ranking()] == ["a", "b", "far"]
    assert np.isfinite(compared["far"].mean) == (level == -1e12)


def test_scores_that_differ_much_are_all_shown(ax):
    draw_seeds(Comparison(200, (arm("a", 0.95), arm("b", 0.93), arm("chance", 0.1))), ax)
    assert ax.get_xlim()[0] < 0.1
    assert not [line for line in ax.lines if line.get_marker() == "<"]


def test_the_page_of_scores_too_large_to_square_is_written(tmp_path):
    far_apart(-1e200).to_html(tmp_path / "page.html", 0.9)
    text = (tmp_path / "page.html").read_text()
    assert "A triangle is" in text
    usual().to_html(tmp_path / "page.html", 0.9)
    assert "A triangle is" not in (tmp_path / "page.html").read_text()
