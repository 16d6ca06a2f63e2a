"""The record of a range test: its forms, its parts, its mean, and its smoothing."""

import csv
import json
import math
import pickle
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import learnrate as lr
from facts import facts
from learnrate.errors import ArgumentError, ArgumentTypeError, MissingExtraError, OutputError

LRS = np.geomspace(1e-6, 1.0, 60)


def some_curve(last=math.nan):
    losses = np.linspace(2.0, 1.0, 60)
    losses[-1] = last
    return lr.Curve(LRS, losses, {"accuracy": np.linspace(0, 1, 60)}, ("a note",))


@pytest.mark.parametrize("last", [0.5, math.nan, math.inf, -math.inf])
def test_a_curve_survives_json_and_pickle(tmp_path, last):
    curve = some_curve(last)
    curve.save(tmp_path / "curve.json")
    assert lr.Curve.load(tmp_path / "curve.json") == curve
    assert pickle.loads(pickle.dumps(curve)) == curve
    json.loads((tmp_path / "curve.json").read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert [path.name for path in tmp_path.iterdir()] == ["curve.json"]


def test_curves_are_equal_by_value():
    assert some_curve(0.5) != some_curve(0.6)
    assert some_curve() != "curve"
    assert lr.Curve(LRS, LRS) != lr.Curve(LRS, LRS, {"accuracy": LRS})


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"learnrate": "plan", "version": 1}',
        '{"learnrate": "curve", "version": 99}',
        '{"learnrate": "curve", "version": 1, "lrs": [1]}',
    ],
)
def test_a_file_without_a_curve_is_refused(tmp_path, content):
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(OutputError, match=r"other\.json"):
        lr.Curve.load(path)


def test_a_file_that_cannot_be_read_or_written_is_an_output_error(tmp_path):
    with pytest.raises(OSError, match="cannot read"):
        lr.Curve.load(tmp_path / "none.json")
    with pytest.raises(OSError, match="cannot write"):
        some_curve().save(tmp_path / "none" / "curve.json")


@pytest.mark.parametrize(
    ("lrs", "losses", "words"),
    [
        ([1e-3, 1e-2], [1.0], ("losses", "long", "lrs", 2, 1)),
        ([1e-2, 1e-3], [1.0, 1.0], ("lrs", "never falling")),
        ([0.0, 0.0], [1.0, 1.0], ("lrs", "above 0")),
        ([1e-3, math.nan], [1.0, 1.0], ("lrs", "finite")),
        ([[1e-3]], [[1.0]], ("lrs", "one dimension", "(1, 1)")),
        (["a"], [1.0], ("lrs", "sequence", "numbers", "['a']")),
    ],
)
def test_impossible_curves_are_refused(lrs, losses, words):
    with pytest.raises(ValueError, match=facts(*words)):
        lr.Curve(lrs, losses)


def test_a_curve_is_read_only():
    with pytest.raises(ValueError, match="read-only"):
        some_curve().losses[0] = 0.0
    with pytest.raises(TypeError):
        some_curve().metrics["accuracy"] = 0.0


@given(st.floats(-1e6, 1e6), st.integers(1, 200), st.floats(0.5, 20))
def test_smoothing_keeps_a_constant(value, points, width):
    curve = lr.Curve(np.geomspace(1e-6, 1, points), np.full(points, value))
    np.testing.assert_allclose(curve.smoothed(width), value, rtol=1e-12)


@given(hnp.arrays(float, st.integers(1, 60), elements=st.floats(-10, 10)), st.data())
def test_smoothing_stays_within_the_losses(losses, data):
    holes = data.draw(hnp.arrays(bool, len(losses)))
    if holes.all():
        return
    finite = losses[~holes]
    smoothed = lr.Curve(np.geomspace(1e-6, 1, len(losses)), np.where(holes, np.nan, losses)).smoothed(3.0)
    # Far from every finite loss the weights underflow, and the smoothed loss is NaN.
    smoothed = smoothed[np.isfinite(smoothed)]
    assert np.all(smoothed >= finite.min() - 1e-9)
    assert np.all(smoothed <= finite.max() + 1e-9)


def test_smoothing_removes_a_spike_and_shifts_nothing():
    losses = np.linspace(2.0, 1.0, 60)
    spiked = losses.copy()
    spiked[30] = 1000.0
    assert np.abs(lr.Curve(LRS, spiked).smoothed() - lr.Curve(LRS, losses).smoothed()).max() < 0.05
    step = np.where(np.arange(60) < 30, 2.0, 1.0)
    assert lr.Curve(LRS, step).smoothed()[29:31].mean() == pytest.approx(1.5, abs=1e-9)


def test_smoothing_without_a_finite_loss_gives_nan():
    assert np.isnan(lr.Curve(LRS, np.full(60, np.nan)).smoothed()).all()


def test_smoothing_refuses_a_width_of_zero():
    with pytest.raises(ValueError, match=facts("width", "above 0")):
        some_curve().smoothed(0)


def three_sweeps(lengths=(60, 60, 60)):
    return [
        lr.Curve(
            LRS[:length],
            np.linspace(2.0, 1.0, 60)[:length] + 0.1 * seed,
            {"accuracy": np.full(length, 0.1 * seed), **({"own": np.ones(length)} if seed == 0 else {})},
            ("a note",) if seed == 2 else (),
            updates_per_epoch=30,
            ended="swept" if length == 60 else "diverged",
            seeds=(seed,),
        )
        for seed, length in enumerate(lengths)
    ]


def test_a_merged_curve_is_the_mean_of_its_sweeps_with_a_band():
    merged = lr.Curve.merge(three_sweeps())
    np.testing.assert_allclose(merged.losses, np.linspace(2.0, 1.0, 60) + 0.1)
    np.testing.assert_allclose(merged.metrics["accuracy"], 0.1)
    assert set(merged.metrics) == {"accuracy"}
    assert (merged.seeds, merged.updates_per_epoch, merged.notes) == ((0, 1, 2), 30, ("sweep 3: a note",))
    low, high = merged.band()
    np.testing.assert_allclose(high - low, 0.2)
    assert merged.sweeps == tuple(three_sweeps())
    assert lr.Curve.merge([merged, *three_sweeps()[:1]]).seeds == (0, 1, 2, 0)


def test_a_merged_curve_ends_with_its_shortest_sweep():
    merged = lr.Curve.merge(three_sweeps((60, 40, 50)))
    assert len(merged) == 40
    assert merged.ended == "diverged"
    assert [len(sweep) for sweep in merged.sweeps] == [40, 40, 40]
    assert [len(sweep) for sweep in merged.finite().sweeps] == [40, 40, 40]


def test_a_mean_is_finite_only_where_all_its_sweeps_are():
    losses = np.where(LRS[3] == LRS, np.inf, LRS)
    with pytest.raises(ValueError, match=facts("sweeps", "finite", "Curve.merge")):
        lr.Curve(LRS, LRS, sweeps=(lr.Curve(LRS, LRS), lr.Curve(LRS, losses)))
    merged = lr.Curve.merge([lr.Curve(LRS, LRS), lr.Curve(LRS, losses)])
    assert len(merged.finite()) == len(LRS) - 1


def test_sweeps_over_different_lrs_do_not_merge():
    with pytest.raises(ValueError, match="same LRs"):
        lr.Curve.merge([lr.Curve(LRS, LRS), lr.Curve(2 * LRS, LRS)])
    with pytest.raises(ValueError, match=facts("curves", "at least one")):
        lr.Curve.merge([])
    with pytest.raises(TypeError, match=facts("curves[0]", "a Curve", "str")):
        lr.Curve.merge(["curve"])


def test_the_band_of_one_sweep_is_its_smoothed_loss():
    low, high = some_curve(1.0).band()
    np.testing.assert_array_equal(low, high)


def test_the_intervals_of_a_merged_curve_include_the_choice_of_sweeps():
    """The sweeps begin to fall at different LRs: their own intervals are narrow, and that of the mean spans all of them."""
    lrs = np.geomspace(1e-6, 1.0, 100)

    def fall(begin, seed):
        noise = 0.01 * np.random.default_rng(seed).standard_normal(100)
        return lr.Curve(lrs, 2.0 - np.clip(np.log10(lrs / begin), 0, 2) / 2 + noise)

    sweeps = [fall(begin, seed) for seed, begin in enumerate([1e-4, 3e-4, 1e-3])]
    merged = lr.Curve.merge(sweeps).bounds()
    low, high = merged.intervals.base_lr
    assert high / low > 3
    single = [sweep.bounds().intervals.base_lr for sweep in sweeps]
    assert max(high / low for low, high in single) < high / low


@pytest.mark.parametrize("curve", [some_curve(1.0), lr.Curve.merge(three_sweeps())], ids=["single", "merged"])
def test_every_form_of_a_curve_has_all_its_values(tmp_path, curve):
    curve.save(tmp_path / "curve.json")
    assert lr.Curve.load(tmp_path / "curve.json") == curve
    assert pickle.loads(pickle.dumps(curve)) == curve
    frame = curve.to_pandas()
    assert list(frame.columns) == ["sweep", "update", "lr", "loss", "accuracy"]
    curve.to_csv(tmp_path / "curve.csv")
    rows = list(csv.DictReader((tmp_path / "curve.csv").read_text().splitlines()))
    assert len(rows) == len(frame) == 60 * max(1, len(curve.sweeps))
    np.testing.assert_array_equal([float(row["loss"]) for row in rows], frame["loss"])
    np.testing.assert_array_equal(frame["loss"][:60], (curve.sweeps or (curve,))[0].losses)
    np.testing.assert_array_equal(frame["update"][:60], np.arange(60))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curve.csv", "curve.json"]


def test_a_metric_with_the_name_of_another_column_keeps_its_column():
    assert "lr_" in lr.Curve(LRS, LRS, {"lr": LRS}).to_pandas().columns


def test_a_table_that_cannot_be_written_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match="cannot write"):
        some_curve().to_csv(tmp_path / "missing" / "curve.csv")


def test_without_pandas_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=facts("to_pandas", "pip install 'learnrate[pandas]'")):
        some_curve().to_pandas()


def test_a_curve_of_one_of_its_metrics():
    curve = lr.Curve.merge(three_sweeps())
    np.testing.assert_allclose(curve.of("accuracy").losses, 0.1)
    np.testing.assert_allclose(curve.of("accuracy").sweeps[2].losses, 0.2)
    with pytest.raises(ValueError, match=r"\['accuracy'\].*'recall'"):
        curve.of("recall")


def test_updates_keep_their_numbers_if_some_are_removed():
    holes = np.where(np.arange(60) % 7 == 3, np.nan, 1.0)
    assert lr.Curve(LRS, holes).finite().updates.tolist() == [n for n in range(60) if n % 7 != 3]
    with pytest.raises(ValueError, match=facts("updates", "long", "lrs", 60, 2)):
        lr.Curve(LRS, LRS, updates=[1, 2])


ODD = {
    "metrics of a number": (lambda: lr.Curve(LRS, LRS, metrics=1), ("metrics", 1, "int")),
    "a metric without a text as name": (lambda: lr.Curve(LRS, LRS, {1: LRS}), ("name of a metric", 1)),
    "losses of nothing": (lambda: lr.Curve(LRS[:2], [None, 1.0]), ("losses[0]", None)),
    "losses of text": (lambda: lr.Curve(LRS[:2], ["1", "2"]), ("losses", "'1'")),
    "losses beyond floats": (lambda: lr.Curve(LRS[:2], [10**400, 1]), ("losses[0]", "float")),
    "losses of thousands of digits": (lambda: lr.Curve(LRS[:2], [10**5000, 1]), ("losses[0]", "float")),
    "losses that need a gradient": (lambda: lr.Curve([0.1], torch.ones(1, requires_grad=True)), ("losses",)),
    "notes of numbers": (lambda: lr.Curve(LRS, LRS, notes=[math.nan]), ("notes[0]", "nan")),
    "notes of nothing": (lambda: lr.Curve(LRS, LRS, notes=None), ("notes", None)),
    "seeds of one number": (lambda: lr.Curve(LRS, LRS, seeds=1), ("seeds", 1)),
    "half an epoch": (lambda: lr.Curve(LRS, LRS, updates_per_epoch=0.5), ("updates_per_epoch", 0.5)),
    "updates that fall": (lambda: lr.Curve(LRS[:2], LRS[:2], updates=[2, 1]), ("updates", "rising")),
    "sweeps of text": (lambda: lr.Curve(LRS, LRS, sweeps=["x"]), ("sweeps[0]", "'x'")),
    "sweeps of another length": (lambda: lr.Curve(LRS, LRS, sweeps=[lr.Curve([0.1], [1.0])]), ("sweeps[0]", "length")),
    "curves that are one": (lambda: lr.Curve.merge(3), ("curves", 3)),
    "a width of text": (lambda: some_curve().smoothed(width="x"), ("width", "'x'")),
    "a width of true": (lambda: some_curve().band(True), ("width", True)),
    "a part by numbers": (lambda: some_curve().where([1, 2]), ("keep", 60)),
    "a part by texts": (lambda: some_curve().where(slice("a")), ("keep", "slice")),
    "a metric by number": (lambda: some_curve().of(0), ("metric", 0)),
    "axes of a number": (lambda: some_curve(1.0).plot(1), ("ax", 1)),
    "a rule that is a text": (lambda: some_curve().plot(rule="valley"), ("rule", "'valley'")),
    "no curve": (lambda: lr.rules.valley(1), ("curve", 1)),
    "no curve for the accuracy": (lambda: lr.rules.accuracy(None), ("curve", None)),
    "a metric of nothing": (lambda: lr.rules.accuracy(some_curve(), None), ("metric", None)),
    "bounds of zero": (lambda: replace(some_curve(1.0).bounds(), lr=0.0), ("lr", 0.0)),
    "a reason of nothing": (lambda: lr.NoAnswer(None, "", ""), ("reason", None)),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_arguments_are_refused_by_name(case):
    build, parts = ODD[case]
    with pytest.raises((ArgumentError, ArgumentTypeError), match=facts(*parts)):
        build()


@pytest.mark.parametrize("rule", lr.rules.__all__)
def test_every_rule_refuses_what_is_no_curve(rule):
    with pytest.raises(ArgumentTypeError, match=facts("curve", "'x'")):
        getattr(lr.rules, rule)("x")


@pytest.mark.parametrize("width", [5e-324, 1e-3, 1e308])
def test_any_width_above_0_smooths(width):
    smoothed = some_curve(1.0).smoothed(width)
    assert np.isfinite(smoothed).all()
    level = np.ptp(smoothed)
    assert level == pytest.approx(0 if width > 1 else 1, abs=0.1)


def test_a_message_shows_at_most_200_characters_of_a_value():
    for build in (
        lambda: lr.Curve(["x" * 5000], [1.0]),
        lambda: lr.Curve(LRS, LRS, {"m" * 5000: "x" * 5000}),
        lambda: some_curve().of("x" * 5000),
        lambda: lr.Curve(LRS, LRS, ended="x" * 5000),
        lambda: some_curve().bounds("x" * 5000),
        lambda: some_curve().smoothed("x" * 5000),
    ):
        with pytest.raises((ArgumentError, ArgumentTypeError)) as raised:
            build()
        assert len(str(raised.value)) < 700
