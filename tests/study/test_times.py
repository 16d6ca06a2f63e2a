"""Times to a target: censored ones, their median, ratios of arms."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facts import facts
from learnrate.errors import LearnrateError
from learnrate.study import MedianTime, TimeToTarget, median_time, speedup, target_score, time_to_target

reached = st.integers(1, 12).map(lambda n: TimeToTarget(True, n))
censored = st.integers(1, 12).map(lambda n: TimeToTarget(False, n))
diverged = st.just(TimeToTarget(False, math.inf))
any_time = st.one_of(reached, reached, censored, diverged)


def times(*values):
    """Reached at a number; a negative number is a run that ended there without it."""
    return [TimeToTarget(value > 0, abs(value)) for value in values]


def test_the_first_checkpoint_that_is_good_enough_counts():
    run = time_to_target([10, 20, 30, 40], [0.1, 0.7, 0.6, 0.9], 0.7, seconds=[1.5, 3.0, 4.5, 6.0])
    assert run == TimeToTarget(True, 20, 3.0, not_at=10)
    assert time_to_target([10, 20], [2.0, 0.5], 0.5, higher_is_better=False) == TimeToTarget(True, 20, None, not_at=10)
    assert time_to_target([10, 20], [0.8, 0.9], 0.8) == TimeToTarget(True, 10)


def test_a_run_that_does_not_reach_it_is_censored_at_its_end():
    run = time_to_target([10, 20], [0.1, 0.2], 0.7, seconds=[1.0, 2.0])
    assert run == TimeToTarget(False, 20, 2.0, not_at=20)
    assert run.bounds() == (20.0, math.inf)
    assert "not reached by 20" in str(run)


def test_a_run_that_diverges_never_reaches_it_unless_it_has_before():
    run = time_to_target([10, 20], [0.1, math.nan], 0.7, seconds=[1.0, 2.0], diverged=True)
    assert run.bounds() == run.bounds("seconds") == (math.inf, math.inf)
    assert "diverged" in str(run)
    assert time_to_target([10, 20], [0.8, math.nan], 0.7, diverged=True).reached


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("higher", [True, False])
def test_a_score_that_is_not_finite_reaches_nothing(bad, higher):
    assert not time_to_target([10], [bad], 0.5, higher_is_better=higher).reached


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"checkpoints": [], "scores": []}, ("checkpoints", "none")),
        ({"scores": [0.1]}, ("scores", 2, 1)),
        ({"seconds": [0.1]}, ("seconds", 2, 1)),
        ({"seconds": [2.0, 1.0]}, ("seconds", "ascending")),
        ({"seconds": [-1.0, 1.0]}, ("seconds[0]", "-1.0")),
        ({"checkpoints": [20, 10]}, ("checkpoints", "ascending")),
        ({"checkpoints": [10.5, 20]}, ("checkpoints[0]", "integer")),
        ({"checkpoints": 10}, ("checkpoints", "sequence")),
        ({"checkpoints": [0, 20], "scores": [0.9, 0.9]}, ("target", "0.8", "first update")),
        ({"target": math.nan}, ("target", "finite")),
        ({"target": "fixed"}, ("target", "number")),
        ({"higher_is_better": None}, ("higher_is_better",)),
    ],
)
def test_arguments_of_a_time_are_checked(arguments, named):
    with pytest.raises(LearnrateError, match=facts(*named)):
        time_to_target(**{"checkpoints": [10, 20], "scores": [0.1, 0.2], "target": 0.8, **arguments})


def median_by_redistribution(runs):
    """Kaplan-Meier by its other definition (Efron 1967): the weight of a censored run goes to those after it."""
    weights = {index: Fraction(1, len(runs)) for index in range(len(runs))}
    order = sorted(weights, key=lambda index: (runs[index].updates, not runs[index].reached))
    total = Fraction(0)
    for place, index in enumerate(order):
        if runs[index].reached:
            total += weights[index]
            if total >= Fraction(1, 2):
                return runs[index].updates
        else:
            for later in order[place + 1 :]:
                weights[later] += weights[index] / (len(order) - place - 1)
    return math.inf


@settings(max_examples=150)
@given(st.lists(any_time, min_size=1, max_size=9))
def test_the_median_is_that_of_kaplan_and_meier(runs):
    assert median_time(runs).median == median_by_redistribution(runs)


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        (times(4), MedianTime(1, 1, 4, (0.0, math.inf), 1.0)),
        (times(4, 6), MedianTime(2, 2, 4, (4.0, 6.0), 0.5)),
        (times(5, 4, 6), MedianTime(3, 3, 5, (4.0, 6.0), 0.75)),
        (times(5, 4, -6), MedianTime(3, 2, 5, (4.0, math.inf), 0.75)),
        (times(-5, -4, -6), MedianTime(3, 0, math.inf, (4.0, math.inf), 0.75)),
        (times(1, 2, 3, 4, 5, 6), MedianTime(6, 6, 3, (1.0, 6.0), 1 - 2 / 64)),
        (times(*range(1, 10)), MedianTime(9, 9, 5, (2.0, 8.0), 1 - 20 / 512)),
        (times(-25, 70, 60), MedianTime(3, 2, 60, (25.0, math.inf), 0.75)),
    ],
)
def test_medians_of_a_few_runs(runs, expected):
    assert median_time(runs) == expected
    assert str(median_time(runs)).startswith(f"reached by {expected.reached} of {expected.runs} runs")


@pytest.mark.parametrize("n", [3, 5, 6, 9])
def test_the_interval_of_the_median_contains_it_as_often_as_it_says(n):
    """Runs of different lengths, whose true median time is log 2."""
    rng = np.random.default_rng(n)
    inside = []
    for draws, lengths in zip(rng.exponential(size=(500, n)), rng.uniform(0.3, 2, (500, n)), strict=True):
        runs = [TimeToTarget(draw <= length, min(draw, length)) for draw, length in zip(draws, lengths, strict=True)]
        median = median_time(runs)
        inside.append(median.interval[0] <= math.log(2) <= median.interval[1])
    assert np.mean(inside) >= median.coverage - 0.03


def test_seconds_have_a_median_as_well():
    runs = [TimeToTarget(True, 10, 3.0), TimeToTarget(True, 10, 5.0), TimeToTarget(False, 10, 4.0)]
    assert median_time(runs, "seconds").median == 5.0
    assert "seconds" in str(median_time(runs, "seconds"))
    with pytest.raises(ValueError, match=facts("unit", "seconds")):
        median_time(times(5), "seconds")


def test_the_ratio_of_runs_that_all_reached_it_is_a_geometric_mean():
    stats = pytest.importorskip("scipy.stats")
    ours, theirs = times(100, 120, 90, 110), times(300, 250, 280, 400)
    compared = speedup(ours, theirs, names=("triangular2", "fixed"))
    logarithms = np.log([3, 250 / 120, 280 / 90, 400 / 110])
    assert compared.ratio == pytest.approx([np.exp(logarithms.mean())] * 2)
    np.testing.assert_allclose(compared.interval, np.exp(stats.ttest_1samp(logarithms, 0).confidence_interval()))
    assert (compared.coverage, compared.censored, compared.sure) == (0.95, 0, True)
    assert "triangular2 needs 2.9 times fewer updates than fixed (4 seeds; 95 %" in str(compared)


@pytest.mark.parametrize(
    ("ours", "theirs", "ratio", "said"),
    [
        (times(10, 10, 10), times(-50, -60, 30), (5, math.inf), "at least 5 times fewer"),
        (times(-50, -60, 30), times(10, 10, 10), (0, 0.2), "at least 5 times more"),
        (times(-25, 25, 25), times(70, 70, -70), (2.8, 2.8), "2.8 times fewer"),
        (times(10), times(-40), (4, math.inf), "at least 4 times fewer"),
        (times(-10), times(-40), (0, math.inf), "is not known"),
        (times(10, 10, -10), times(30, -5, 20), (0.5, 3.0), "is between 0.5 and 3"),
        (times(-10, -40), times(40, 10), (0, 1.0), "is at most 1"),
        (times(-10, 10, 10), times(20, -5, -5), (0.5, math.inf), "is at least 0.5"),
        (times(10, -10, -10), times(-30, 20, 20), (0, 2.0), "is at most 2"),
        (times(10, 10), times(math.inf * -1, math.inf * -1), (math.inf, math.inf), "fixed diverged"),
        (times(math.inf * -1, math.inf * -1), times(10, 10), (0, 0), "triangular2 diverged"),
        (times(10, -math.inf), times(-math.inf, 10), (0, math.inf), "is not known"),
        (times(-math.inf), times(-20), (0, math.inf), "is not known"),
    ],
)
def test_ratios_of_censored_runs_are_bounded(ours, theirs, ratio, said):
    compared = speedup(ours, theirs, names=("triangular2", "fixed"))
    assert compared.ratio == pytest.approx(ratio)
    assert said in str(compared)
    assert compared.interval[0] <= compared.ratio[0] <= compared.ratio[1] <= compared.interval[1]
    assert not compared.sure


def test_a_ratio_is_sure_with_enough_seeds():
    ours, theirs = times(*[10] * 6), times(*[-40] * 6)
    assert speedup(ours, theirs).sure
    assert not speedup(ours[:5], theirs[:5]).sure
    assert speedup(ours[:5], theirs[:5], level=0.9).sure
    assert not speedup(ours, times(*[-5] * 6)).sure


@settings(max_examples=100)
@given(st.integers(1, 7).flatmap(lambda n: st.tuples(*[st.lists(any_time, min_size=n, max_size=n)] * 2)))
def test_swapped_arms_have_the_inverse_ratio(arms):
    ours, theirs = arms
    straight, swapped = speedup(ours, theirs), speedup(theirs, ours)
    with np.errstate(divide="ignore"):
        for a, b in ((straight.ratio, swapped.ratio), (straight.interval, swapped.interval)):
            inverse = tuple(1 / np.array(b[::-1]))
            never = any(math.isinf(x.updates) and not y.reached for x, y in zip(ours + theirs, theirs + ours, strict=True))
            # Who never reaches it against who may not either is unknown in both directions, so bounds may only be wider.
            assert a == pytest.approx(inverse) or never
    assert straight.censored == swapped.censored
    assert straight.ratio[0] <= straight.ratio[1]
    assert str(straight)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50), st.integers(1, 50)), min_size=1, max_size=7))
def test_the_bounds_of_censored_runs_contain_what_longer_runs_would_show(rows):
    """Each run of the second arm ends at a length; with any length the bounds contain the median of all ratios."""
    ours, theirs = [TimeToTarget(True, a) for a, _, _ in rows], [TimeToTarget(True, b) for _, b, _ in rows]
    cut = [TimeToTarget(b <= length, min(b, length)) for _, b, length in rows]
    ratios = sorted(b / a for a, b, _ in rows)
    median = math.sqrt(ratios[(len(rows) - 1) // 2] * ratios[len(rows) // 2])
    compared = speedup(ours, cut)
    if compared.censored:
        assert compared.ratio[0] <= median * (1 + 1e-9)
        assert compared.ratio[1] >= median * (1 - 1e-9)
    else:
        assert compared == speedup(ours, theirs)


def test_equal_ratios_have_the_interval_of_the_median():
    few, many = (speedup(times(*[100] * n), times(*[300] * n)) for n in (3, 6))
    assert few.ratio == pytest.approx((3, 3))
    assert (few.interval, few.coverage, few.sure) == ((3.0, 3.0), 0.75, False)
    assert many.sure
    assert speedup(times(100), times(300)).interval == (0.0, math.inf)
    assert "as many updates as" in str(speedup(times(100), times(100)))


def test_ratios_of_seconds():
    ours, theirs = [TimeToTarget(True, 10, 2.0)] * 2, [TimeToTarget(True, 10, 6.0), TimeToTarget(True, 10, 7.0)]
    compared = speedup(ours, theirs, unit="seconds")
    assert compared.ratio[0] == pytest.approx(math.sqrt(3 * 3.5))
    assert "seconds" in str(compared)


def test_the_target_is_a_number_or_the_mean_of_an_arm():
    scores = {"fixed": [0.8, 0.9], "diverged": [0.8, math.nan], "empty": []}
    assert target_score(0.7, scores) == 0.7
    assert target_score("fixed", scores) == pytest.approx(0.85)
    for name in ("diverged", "empty"):
        with pytest.raises(ValueError, match=facts("target", name)):
            target_score(name, scores)
    with pytest.raises(ValueError, match=facts("'fixed'", "fxed")):
        target_score("fxed", scores)
    with pytest.raises(TypeError, match=facts("final_scores", "mapping")):
        target_score("fixed", None)
    for value in (None, math.inf, True):
        with pytest.raises(LearnrateError, match=facts("target")):
            target_score(value, scores)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: median_time([]), ("times", "none")),
        (lambda: median_time([100]), ("times[0]", "TimeToTarget")),
        (lambda: median_time(TimeToTarget(True, 5)), ("times", "sequence")),
        (lambda: median_time(times(5), "hours"), ("unit", "hours")),
        (lambda: median_time(times(5), level=95), ("level", 95)),
        (lambda: speedup(times(5), times(5, 6)), ("same seeds", 1, 2)),
        (lambda: speedup([], []), ("same seeds", 0)),
        (lambda: speedup(times(5), times(6), names=("a", "a")), ("names", "different")),
        (
            lambda: speedup([TimeToTarget(True, 5, 0.0)], [TimeToTarget(True, 5, 1.0)], unit="seconds"),
            ("seconds", "above 0"),
        ),
    ],
)
def test_arguments_are_checked(call, named):
    with pytest.raises(LearnrateError, match=facts(*named)):
        call()
