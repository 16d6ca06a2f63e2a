"""Student's t distribution and the sign statistics, against SciPy."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facts import facts
from learnrate.errors import LearnrateError
from learnrate.study.statistics import signs, student

DEGREES = (1, 2, 3, 4, 5, 10, 29, 100, 1001)


@pytest.fixture
def scipy_stats():
    return pytest.importorskip("scipy.stats")


@pytest.mark.parametrize("degrees", DEGREES)
def test_the_distribution_is_that_of_scipy(degrees, scipy_stats):
    t = np.concatenate([-np.logspace(-6, 6, 60), [0.0], np.logspace(-6, 6, 60), [math.inf, -math.inf]])
    # SciPy itself is off by 1e-11 near 0 for one degree of freedom, where the distribution is 1 / 2 + atan(t) / pi.
    np.testing.assert_allclose(student.cdf(t, degrees), scipy_stats.t.cdf(t, degrees), rtol=0, atol=1e-10)


@pytest.mark.parametrize("degrees", DEGREES)
def test_the_quantile_is_that_of_scipy(degrees, scipy_stats):
    for probability in (1e-6, 0.001, 0.025, 0.3, 0.5, 0.7, 0.975, 0.9999, 1 - 1e-6):
        expected = scipy_stats.t.ppf(probability, degrees)
        assert student.quantile(probability, degrees) == pytest.approx(expected, rel=1e-9, abs=1e-10)


@settings(max_examples=30)
@given(st.floats(1e-4, 1 - 1e-4), st.integers(1, 60))
def test_distribution_and_quantile_are_inverse(probability, degrees):
    t = student.quantile(probability, degrees)
    assert student.cdf(t, degrees) == pytest.approx(probability, abs=1e-12)
    assert student.quantile(1 - probability, degrees) == pytest.approx(-t, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: student.cdf(1.0, 0), ("degrees", 1, 0)),
        (lambda: student.cdf(1.0, 2.5), ("degrees", "integer")),
        (lambda: student.quantile(1.0, 3), ("probability", 1)),
        (lambda: student.quantile(math.nan, 3), ("probability", "nan")),
    ],
)
def test_arguments_are_checked(call, named):
    with pytest.raises(LearnrateError, match=facts(*named)):
        call()


@settings(max_examples=50)
@given(st.integers(0, 25), st.integers(0, 25))
def test_the_statistics_of_signs_are_those_of_scipy(wins, losses):
    stats, special = pytest.importorskip("scipy.stats"), pytest.importorskip("scipy.special")
    expected = stats.binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    assert signs.p_value(wins, losses) == pytest.approx(expected, abs=1e-12)
    assert signs.probability(wins, losses) == pytest.approx(stats.beta.sf(0.5, wins + 0.5, losses + 0.5), abs=1e-12)
    mixture = special.betaln(wins + 0.5, losses + 0.5) - special.betaln(0.5, 0.5)
    assert signs.log_evidence(wins, losses) == pytest.approx(mixture + (wins + losses) * math.log(2), abs=1e-9)


@pytest.mark.parametrize("trials", [1, 2, 7, 12])
def test_the_evidence_of_signs_is_1_on_average_for_a_fair_coin(trials):
    expected = sum(math.comb(trials, wins) * math.exp(signs.log_evidence(wins, trials - wins)) for wins in range(trials + 1))
    assert expected / 2**trials == pytest.approx(1)
