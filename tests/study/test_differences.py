"""Differences of arms: intervals, what has no interval, several pairs, sentences."""

import json
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from facts import facts
from learnrate.errors import LearnrateError
from learnrate.study.statistics.differences import differences, holm, surely_best
from learnrate.study.statistics.paired import difference
from learnrate.study.statistics.sequential import anytime_interval

score = st.floats(-10, 10).map(lambda x: round(x, 3))
paired_scores = st.integers(2, 8).flatmap(lambda n: st.tuples(*[st.lists(score, min_size=n, max_size=n)] * 2))


def seeds(scores):
    return dict(enumerate(scores))


@settings(max_examples=50)
@given(paired_scores)
def test_interval_and_p_value_are_those_of_scipy(scores):
    stats = pytest.importorskip("scipy.stats")
    first, second = map(np.array, scores)
    assume(np.ptp(first - second) > 1e-3)
    compared, test = difference(first, second), stats.ttest_rel(first, second)
    np.testing.assert_allclose(compared.interval, test.confidence_interval(), rtol=1e-6, atol=1e-6)
    assert compared.p_value == pytest.approx(test.pvalue, rel=1e-6, abs=1e-10)
    assert compared.sure == (test.pvalue <= 0.05)
    one_sided = stats.ttest_rel(first, second, alternative="greater").pvalue
    assert compared.probability == pytest.approx(1 - one_sided, abs=1e-9)


@settings(max_examples=50)
@given(paired_scores, st.floats(-5, 5), st.sampled_from([0.01, 3.0, 1000.0]), st.booleans(), st.booleans())
def test_shift_scale_swap_and_direction(scores, shift, scale, anytime, higher):
    first, second = map(np.array, scores)
    assume(np.ptp(first - second) > 1e-3 or np.all(first == second))
    original = difference(first, second, anytime=anytime, higher_is_better=higher)
    moved = difference(scale * (first + shift), scale * (second + shift), anytime=anytime, higher_is_better=higher)
    assert moved.mean == pytest.approx(scale * original.mean, abs=1e-8 * scale)
    assert moved.probability == pytest.approx(original.probability, abs=1e-6)
    np.testing.assert_allclose(moved.interval, np.multiply(original.interval, scale), rtol=1e-6, atol=1e-6 * scale)
    assert moved.p_value == pytest.approx(original.p_value, rel=1e-5, abs=1e-12)

    swapped = difference(second, first, anytime=anytime, higher_is_better=higher)
    assert swapped.interval == pytest.approx((-original.interval[1], -original.interval[0]))
    assert (swapped.sure, swapped.first_better, swapped.second_better) == (
        original.sure,
        original.second_better,
        original.first_better,
    )
    assert swapped.probability == pytest.approx(1 - original.probability)

    negated = difference(-first, -second, anytime=anytime, higher_is_better=not higher)
    assert (negated.better, negated.first_better, negated.sure) == (original.better, original.first_better, original.sure)
    assert negated.probability == pytest.approx(original.probability)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_the_interval_contains_the_true_difference_in_95_percent(n):
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, 1000, n)) * 2
    compared = [difference(a + 1, b) for a, b in zip(first, second, strict=True)]
    inside = np.mean([result.interval[0] <= 1 <= result.interval[1] for result in compared])
    assert inside == pytest.approx(0.95, abs=0.025)


def test_the_better_arm_is_named_whichever_direction_is_better():
    low, high = [0.1, 0.11, 0.1], [0.5, 0.52, 0.51]
    assert difference(high, low, names=("a", "b")).better == "a"
    assert difference(high, low, names=("a", "b"), higher_is_better=False).better == "b"
    assert difference(low, high, names=("a", "b")).better == "b"
    assert difference([0.1, 0.9], [0.9, 0.1]).better is None


def test_a_single_seed_has_no_interval():
    compared = difference([0.9], [0.5], names=("wsd", "cosine"))
    assert compared.interval == (-math.inf, math.inf)
    assert (compared.mean, compared.p_value, compared.sure) == (pytest.approx(0.4), 1.0, False)
    assert 0.5 < compared.probability < 1
    assert "1 seed" in str(compared)


@pytest.mark.parametrize("anytime", [False, True])
def test_differences_that_are_all_equal_have_no_interval(anytime):
    """0.97 - 0.95 and 0.96 - 0.94 differ by rounding alone."""
    many = difference([0.97, 0.96, 0.95] * 3, [0.95, 0.94, 0.93] * 3, names=("wsd", "cosine"), anytime=anytime)
    few = difference([0.97, 0.96, 0.95], [0.95, 0.94, 0.93], anytime=anytime)
    assert many.interval == few.interval == (-math.inf, math.inf)
    assert (many.better, few.better) == ("wsd", None)  # of signs alone, nine are enough and three are not
    assert many.first_better == 9
    assert "spread" in str(many)


@pytest.mark.parametrize("anytime", [False, True])
def test_scores_that_differ_by_rounding_are_equal(anytime):
    compared = difference([0.1 + 0.2] * 9, [0.3] * 9, anytime=anytime)
    assert (compared.mean, compared.p_value, compared.probability, compared.sure) == (0.0, 1.0, 0.5, False)


def test_differences_of_which_only_rounding_is_left_have_mean_0():
    compared = difference([0.97, 0.81], [0.95, 0.83])
    assert compared.mean == 0.0
    assert compared.probability == 0.5
    assert compared.interval[0] == -compared.interval[1]


def test_the_p_value_accounts_for_other_comparisons():
    scores = [0.91, 0.92, 0.92], [0.89, 0.90, 0.91]
    alone, among = difference(*scores), difference(*scores, comparisons=3)
    assert among.p_value == pytest.approx(3 * alone.p_value)
    assert (alone.sure, among.sure) == (True, False)


def test_seeds_that_are_added_take_no_evidence_away():
    rng = np.random.default_rng(0)
    scores = np.concatenate([1 + rng.standard_normal(25), rng.standard_normal(10)])
    compared = [difference(scores[:n], np.zeros(n), anytime=True) for n in range(1, len(scores) + 1)]
    p_values = [result.p_value for result in compared]
    assert p_values[:5] == [1.0] * 5  # nothing is sure before 6 seeds
    assert p_values == sorted(p_values, reverse=True)
    assert p_values[-1] == p_values[-2] < 0.05
    assert [result.sure for result in compared] == sorted(result.sure for result in compared)


def test_evidence_that_later_seeds_contradict_is_none():
    scores = [1.0, 1.1, 0.9, 1.0, 1.1, 0.9, 1.0, 1.1] + [-1.0, -1.1, -0.9] * 5
    assert difference(scores[:8], [0.0] * 8, anytime=True).sure
    compared = difference(scores, [0.0] * len(scores), anytime=True)
    assert compared.p_value < 0.05
    assert not compared.sure


@pytest.mark.parametrize("anytime", [False, True])
def test_tiny_scores_have_a_spread(anytime):
    compared = difference([1e-200, 2e-200, 4e-200] * 3, [0.0] * 9, anytime=anytime)
    assert 0 < compared.interval[0] < compared.mean < compared.interval[1] < 1e-199
    assert compared.sure


@pytest.mark.parametrize("anytime", [False, True])
def test_equal_scores(anytime):
    compared = difference([0.5, 0.6, 0.7] * 4, [0.5, 0.6, 0.7] * 4, anytime=anytime)
    assert (compared.mean, compared.probability, compared.p_value, compared.sure) == (0.0, 0.5, 1.0, False)
    assert (compared.first_better, compared.second_better) == (0, 0)
    assert "equal" in str(compared)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e200, -1e308])
@pytest.mark.parametrize("higher", [True, False])
@pytest.mark.parametrize("anytime", [True, False])
def test_a_training_that_has_diverged_is_worse_than_any_other(bad, higher, anytime):
    compared = difference([0.5, bad, bad], [0.4, 0.3, bad], names=("a", "b"), higher_is_better=higher, anytime=anytime)
    assert math.isnan(compared.mean)
    assert math.isnan(compared.spread)
    assert compared.interval == (-math.inf, math.inf)
    assert compared.not_finite == 2
    assert (compared.first_better, compared.second_better) == ((1, 1) if higher else (0, 2))
    assert not compared.sure
    assert "2 of 3 seeds" in str(compared)


@pytest.mark.parametrize("anytime", [False, True])
def test_an_arm_that_always_diverges_is_surely_worse(anytime):
    rng = np.random.default_rng(0)
    fine = 0.9 + 0.01 * rng.standard_normal(8)
    assert difference(fine, [math.nan] * 8, names=("a", "b"), anytime=anytime).better == "a"
    assert difference([math.nan] * 8, fine, names=("a", "b"), anytime=anytime).better == "b"
    assert difference(fine[:3], [math.nan] * 3, anytime=anytime).better is None


def test_evidence_from_before_the_first_divergence_is_kept():
    rng = np.random.default_rng(0)
    first, second = 1.0 + 0.3 * rng.standard_normal(12), 0.3 * rng.standard_normal(12)
    before = difference(first[:6], second[:6], anytime=True)
    second[6] = math.nan
    later = [difference(first[:n], second[:n], anytime=True) for n in range(6, 13)]
    assert [result.p_value for result in later] == sorted((result.p_value for result in later), reverse=True)
    assert later[0] == before
    assert later[-1].p_value < before.p_value


def test_false_claims_where_trainings_diverge():
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((400, 2, 20))
    scores[rng.random(scores.shape) < 0.2] = math.nan
    claims = sum(difference(first, second, anytime=True).p_value <= 0.05 for first, second in scores)
    assert claims <= 0.05 * 400


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1), max_size=6))
def test_holm_is_the_closed_test_of_bonferroni(p_values):
    """A hypothesis is rejected if every set of hypotheses that contains it is, by its smallest p-value times its size."""
    n = len(p_values)
    for index, adjusted in enumerate(holm(p_values)):
        sets = [[i for i in range(n) if mask >> i & 1] for mask in range(2**n) if mask >> index & 1]
        expected = max(min(1.0, len(hypotheses) * min(p_values[i] for i in hypotheses)) for hypotheses in sets)
        assert adjusted == pytest.approx(expected)


@pytest.mark.parametrize("anytime", [False, True])
def test_all_pairs_together_keep_the_error_rate(anytime):
    rng = np.random.default_rng(0)
    wrong = 0
    for scores in rng.standard_normal((100, 4, 9)):
        wrong += any(
            result.sure for result in differences({str(i): seeds(arm) for i, arm in enumerate(scores)}, anytime=anytime)
        )
    assert wrong <= 12  # 5 %, and what 100 studies can be away from it; without an adjustment it is 20 %


def test_pairs_are_made_by_seed_and_what_is_left_out_is_told():
    compared = differences({"a": {3: 0.5, 1: 0.6, 2: 0.7}, "b": {1: 0.1, 2: 0.3, 9: 0.0}, "c": {}})
    assert [(result.first, result.second, result.pairs, result.unpaired) for result in compared] == [
        ("a", "b", 2, 2),
        ("a", "c", 0, 3),
        ("b", "c", 0, 3),
    ]
    assert compared[0].mean == pytest.approx(0.45)
    assert "2 seeds are left out" in str(compared[0])
    assert "no seed" in str(compared[1])
    assert (compared[1].probability, compared[1].p_value, compared[1].sure) == (0.5, 1.0, False)


def test_seeds_are_looked_at_in_the_order_in_which_they_were_planned():
    scores = {"a": {0: 0.5, 2: 0.6, 3: 0.6, 1: 0.6}, "b": {0: 0.1, 3: math.nan, 1: 0.2}}
    (compared,) = differences(scores, seeds=range(5), anytime=True)
    assert (compared.pairs, compared.unpaired, compared.not_finite) == (2, 2, 0)
    (fixed,) = differences(scores, seeds=range(5))
    assert (fixed.pairs, fixed.unpaired, fixed.not_finite) == (3, 1, 1)


def test_the_best_arm_is_surely_better_than_every_other():
    rng = np.random.default_rng(0)
    noise = 0.1 * rng.standard_normal((3, 9))
    far = {name: seeds(mean + row) for name, mean, row in zip("abc", (3, 2, 1), noise, strict=True)}
    near = {**far, "b": seeds(3 + noise[0] + 0.1 * (-1) ** np.arange(9))}
    for anytime in (False, True):
        assert surely_best(differences(far, anytime=anytime)) == "a"
        assert surely_best(differences(near, anytime=anytime)) is None
        assert surely_best(differences(far, anytime=anytime, higher_is_better=False)) == "c"
    assert surely_best([]) is None


def test_what_is_sure_excludes_0_and_accounts_for_all_pairs():
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((4, 8))
    compared = differences({str(i): seeds(i * 2 + row) for i, row in enumerate(noise)}, anytime=True)
    assert {result.comparisons for result in compared} == {6}
    assert {result.sure for result in compared} == {True, False}
    for result in compared:
        assert result.sure == (not result.interval[0] <= 0 <= result.interval[1]) == (result.p_value <= 0.05)
        values = 2 * (int(result.first) - int(result.second)) + noise[int(result.first)] - noise[int(result.second)]
        assert result.interval == pytest.approx(anytime_interval(values, comparisons=6))


def test_the_record_is_json():
    compared = differences({"a": {0: 0.5, 1: math.nan}, "b": {0: 0.1, 1: 0.4}})[0]
    record = json.loads(json.dumps(compared.as_record(), allow_nan=False))
    assert record["interval"] == ["-inf", "inf"]
    assert (record["mean"], record["first"], record["not_finite"]) == ("nan", "a", 1)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"first": [0.1]}, ("same seeds", 1, 2)),
        ({"first": "0.1"}, ("first", "sequence")),
        ({"first": ["0.1", 0.2]}, ("first[0]", "number")),
        ({"level": 0}, ("level", 0)),
        ({"level": "95 %"}, ("level", "number")),
        ({"comparisons": 0}, ("comparisons", 0)),
        ({"higher_is_better": "yes"}, ("higher_is_better",)),
        ({"anytime": 1}, ("anytime",)),
        ({"names": ("a", "a")}, ("names", "different")),
        ({"names": ("a",)}, ("names", "two")),
        ({"names": "ab"}, ("names", "sequence")),
    ],
)
def test_arguments_are_checked(arguments, named):
    with pytest.raises(LearnrateError, match=facts(*named)):
        difference(**{"first": [0.1, 0.2], "second": [0.2, 0.3], **arguments})


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: differences([[0.1]]), ("scores", "mapping")),
        (lambda: differences({"a": [0.1], "b": [0.2]}), ("scores['a']", "mapping")),
        (lambda: differences({"a": {0: 0.1}, "b": {7: 0.2}}, seeds=[0]), ("seeds", 7)),
        (lambda: differences({"a": {0: "x"}, "b": {0: 0.2}}), ("first[0]", "number")),
        (lambda: differences({"a": {"x": 0.1}, "b": {"x": 0.2}}), ("scores['a']", "integer")),
        (lambda: surely_best(5), ("compared", "sequence")),
        (lambda: surely_best(["a"]), ("compared[0]", "Difference")),
        (lambda: holm([0.1, 1.5]), ("p_values[1]", "1.5")),
        (lambda: holm([math.nan]), ("p_values[0]", "nan")),
    ],
)
def test_arguments_of_several_arms_are_checked(call, named):
    with pytest.raises(LearnrateError, match=facts(*named)):
        call()
