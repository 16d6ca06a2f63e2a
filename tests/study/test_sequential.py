"""The rule for adding seeds: its error rate, its formula, its interval."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from facts import facts
from learnrate.errors import LearnrateError
from learnrate.study.statistics.sequential import (
    EFFECT_VARIANCE,
    WHOLE_LINE,
    anytime_interval,
    fewest_pairs,
    log_evidence,
    sure_after,
)

differences = st.lists(st.floats(-100, 100).map(lambda x: round(x, 3)), min_size=1, max_size=15)


@pytest.mark.parametrize("arms", [2, 4])
def test_no_more_than_5_percent_of_studies_without_a_difference_end_in_a_claim(arms):
    studies, pairs = 2000, [(i, j) for j in range(arms) for i in range(j)]
    scores = np.random.default_rng(17).standard_normal((30, studies, arms))
    sure = sure_after(np.stack([scores[..., i] - scores[..., j] for i, j in pairs], axis=-1), 0.95, len(pairs))
    claims = sure.any(axis=(0, 2)).sum()
    assert 0 < claims <= 0.05 * studies


def test_a_difference_is_claimed_with_few_seeds():
    noise = np.random.default_rng(3).standard_normal((30, 1000))
    sure = sure_after(noise + 2)
    assert sure.any(axis=0).all()
    assert sure.argmax(axis=0).mean() + 1 < 8


@pytest.mark.parametrize("effect", [0.0, 0.7])
@pytest.mark.parametrize("n", [2, 3, 6, 12])
def test_the_evidence_is_the_average_likelihood_over_that_of_no_effect(effect, n):
    """The t statistic has a noncentral t distribution, averaged over the prior of the effect size."""
    stats, integrate = pytest.importorskip("scipy.stats"), pytest.importorskip("scipy.integrate")
    values = np.random.default_rng(n).standard_normal(n) + effect
    t = stats.ttest_1samp(values, 0).statistic

    def weighted(size):
        prior = stats.norm.pdf(size, scale=math.sqrt(EFFECT_VARIANCE))
        return stats.nct.pdf(t, n - 1, size * math.sqrt(n)) * prior

    average = integrate.quad(weighted, -8, 8, limit=200)[0]
    assert math.exp(log_evidence(values)[-1]) == pytest.approx(average / stats.t.pdf(t, n - 1), rel=1e-4)


def test_the_evidence_is_1_on_average_under_no_difference():
    evidence = np.exp(log_evidence(np.random.default_rng(5).standard_normal((4, 40_000))))
    np.testing.assert_allclose(evidence.mean(axis=1), 1, atol=0.05)
    np.testing.assert_allclose(evidence[0], 1)


@settings(max_examples=60)
@given(differences, st.floats(-100, 100).map(lambda x: round(x, 2)))
def test_the_interval_is_what_the_rule_does_not_reject(values, mean):
    intervals = [anytime_interval(values[:n]) for n in range(1, len(values) + 1)]
    # Intervals that contradict each other are not cut with each other: the last stands alone.
    assume(all(later[0] >= earlier[0] and later[1] <= earlier[1] for earlier, later in pairwise(intervals)))
    low, high = intervals[-1]
    assume(min(abs(mean - low), abs(mean - high)) > 1e-6)
    differ = np.maximum.accumulate(values) > np.minimum.accumulate(values)
    rejected = sure_after(np.array(values) - mean)[differ].any()
    assert rejected == (not low <= mean <= high)


@settings(max_examples=40)
@given(differences.filter(lambda values: len(values) >= 6), st.sampled_from([1e-200, 1e-3, -1.0, 7.0, 1e100]))
def test_the_unit_of_the_scores_does_not_matter(values, factor):
    low, high = anytime_interval(values)
    expected = sorted((low * factor, high * factor))
    np.testing.assert_allclose(
        sorted(anytime_interval(np.array(values) * factor)), expected, rtol=1e-6, atol=abs(factor) * 1e-9
    )
    np.testing.assert_allclose(log_evidence(np.array(values) * factor), log_evidence(values), rtol=1e-6, atol=1e-8)


def test_the_interval_contains_the_mean_at_every_number_of_seeds():
    values = np.random.default_rng(11).standard_normal((25, 500)) + 3
    missed = sum(not low <= 3 <= high for low, high in map(anytime_interval, values.T))
    assert missed <= 0.05 * 500


def test_the_interval_is_never_wider_than_with_fewer_seeds():
    for values in np.random.default_rng(4).standard_normal((20, 12)):
        values[8:] *= 3  # the later seeds are less certain than the first ones
        ends = np.array([anytime_interval(values[:n]) for n in range(1, 13)])
        assert (np.diff(ends[5:, 0]) >= -1e-12).all()
        assert (np.diff(ends[5:, 1]) <= 1e-12).all()


def test_more_comparisons_need_more_evidence():
    values = np.random.default_rng(2).standard_normal(20) + 1
    widths = [np.ptp(anytime_interval(values, comparisons=comparisons)) for comparisons in (1, 3, 10, 45)]
    assert widths == sorted(widths)
    assert widths[0] < widths[1]
    assert np.ptp(anytime_interval(values, level=0.8)) < widths[0]


@pytest.mark.parametrize(("comparisons", "fewest"), [(1, 6), (3, 7), (6, 8)])
def test_nothing_is_sure_before_signs_could_tell(comparisons, fewest):
    assert fewest_pairs(0.95, comparisons) == fewest
    values = 1 + 1e-3 * np.random.default_rng(1).standard_normal(12)
    assert np.flatnonzero(sure_after(values, comparisons=comparisons))[0] + 1 == fewest
    assert anytime_interval(values[: fewest - 1], comparisons=comparisons) == WHOLE_LINE
    assert anytime_interval(values[:fewest], comparisons=comparisons)[0] > 0.9


@pytest.mark.parametrize(
    "values", [[], [1.0] * 9, [0.0] * 9, [1.0, 2.0, math.nan] * 4, [1.0, math.inf] * 4, [1e308, -1e308] * 4]
)
def test_where_there_is_no_interval(values):
    assert anytime_interval(values) == WHOLE_LINE


def test_many_differences_of_0_are_no_evidence():
    assert not sure_after(np.zeros(50)).any()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"level": 95}, ("level", 95)),
        ({"level": math.nan}, ("level", "nan")),
        ({"comparisons": 0}, ("comparisons", 0)),
        ({"comparisons": 1.5}, ("comparisons", "1.5")),
        ({"differences": [[1.0, 2.0]]}, ("differences[0]", "number")),
        ({"differences": "123456"}, ("differences", "sequence")),
    ],
)
def test_arguments_are_checked(arguments, named):
    with pytest.raises(LearnrateError, match=facts(*named)):
        anytime_interval(**{"differences": [1.0, 2.0], **arguments})
