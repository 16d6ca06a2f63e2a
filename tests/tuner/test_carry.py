"""An LR carried to another set-up: the rules, the interval, the schedule, and what is refused."""

import math
from dataclasses import replace

import numpy as np
import pytest

import learnrate as lr
from facts import facts, tells
from learnrate.errors import NoAnswerError
from learnrate.tuner.carry import RULES, Tuned, changes
from trainables import Quadratic, Regression

OPTIMIZERS = tuple(RULES)


@pytest.fixture(scope="module")
def tuned():
    """A plan as torch makes it: with the kind of the optimizer, the batch size, and the noise scale."""
    plan = lr.tune(Regression(), updates=410)
    interval = plan.max_lr / 2, plan.max_lr * 3
    return replace(plan, interval=interval, optimizer="adam", batch=32, noise_scale=200.0)


def power_of(name, optimizer="adam"):
    return f"{RULES[optimizer][name].power:g}"


def log2_factor(tuned, **changed):
    return sum(change.log2_factor for change in changes(tuned, **changed))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_larger_batch_needs_a_higher_lr_up_to_the_noise_scale_and_no_other_above(optimizer):
    at = Tuned(0.01, optimizer, updates=1000, batch=32, noise_scale=100.0)
    up = [log2_factor(at, batch=batch) for batch in (64, 100, 128, 512)]
    assert 0 < up[0] < up[1] == up[2] == up[3]
    assert log2_factor(at, batch=16) < 0
    above = replace(at, batch=128)
    assert log2_factor(above, batch=256) == log2_factor(above, batch=100) == 0.0
    assert log2_factor(above, batch=50) < 0


def test_a_larger_batch_does_not_bring_the_lr_near_to_where_trials_diverged():
    at = Tuned(0.1, "sgd", updates=1000, batch=32, noise_scale=1000.0, diverged_at=0.3)
    [change] = changes(at, batch=256)
    assert 0.1 < 0.1 * 2**change.log2_factor < 0.3 / 1.9
    assert tells(change.reason, 0.3, "diverged")
    near = replace(at, diverged_at=0.11)
    assert log2_factor(near, batch=256) == 0.0
    assert log2_factor(near, batch=16) == log2_factor(replace(at, diverged_at=math.inf), batch=16) < 0


def test_adams_lr_follows_the_square_root_of_the_batch_below_the_noise_scale():
    """Malladi et al., arXiv 2205.10287, section 4."""
    at = Tuned(0.01, "adam", updates=1000, batch=16, noise_scale=1e6)
    assert log2_factor(at, batch=256) == pytest.approx(math.log2(lr.sqrt_scaling(1.0, 256, 16).lr))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("changed", [{"width": 2.0}, {"depth": 2.0}, {"updates": 2000}, {"width": 2.0, "depth": 0.5}])
def test_a_change_and_its_inverse_cancel(optimizer, changed):
    if "depth" in changed and "depth" not in RULES[optimizer]:
        changed = {"width": 2.0, "updates": 2000}
    at = Tuned(0.01, optimizer, updates=1000, batch=32, noise_scale=100.0)
    back = {name: 500 if name == "updates" else 1 / value for name, value in changed.items()}
    assert log2_factor(at, **changed) == pytest.approx(-log2_factor(at, **back))


def test_changes_together_multiply(tuned):
    alone = [tuned.carry(batch=64), tuned.carry(width=2.0), tuned.carry(updates=820)]
    together = tuned.carry(batch=64, width=2.0, updates=820)
    product = tuned.max_lr * math.prod(carried.lr / tuned.max_lr for carried in alone)
    assert together.lr == pytest.approx(product, rel=0.1)  # LRs have two digits
    assert float(together) == together.lr


@pytest.mark.parametrize("changed", [{"batch": 64}, {"width": 4.0}, {"depth": 2.0}, {"updates": 1000}])
def test_the_interval_holds_the_lr_and_is_wider_than_that_of_the_plan(tuned, changed):
    carried = tuned.carry(**changed)
    low, high = carried.interval
    assert low < carried.lr < high
    assert high / low > 1.2 * tuned.interval[1] / tuned.interval[0]
    further = tuned.carry(**changed, **({"width": 2.0} if "width" not in changed else {"depth": 2.0}))
    assert further.interval[1] / further.interval[0] > high / low


def test_an_interval_that_is_open_stays_open(tuned):
    assert replace(tuned, interval=(0.0, math.inf)).carry(width=2.0).interval == (0.0, math.inf)


@pytest.mark.parametrize("family", ["warmup_cosine", "one_cycle", "wsd", "triangular2"])
def test_the_schedule_is_of_the_same_family_with_the_new_peak_and_length(family):
    plan = replace(lr.tune(Regression(), updates=400, family=family), optimizer="sgd")
    carried = plan.carry(updates=800)
    values = carried.schedule(np.arange(carried.updates + 1))
    assert (max(values), carried.updates) == (pytest.approx(carried.lr), 800)
    assert type(carried.schedule) is type(plan.schedule)
    assert carried.schedule.length == 2 * plan.schedule.length


def test_a_function_as_family_is_scaled_and_cannot_be_lengthened():
    plan = lr.tune(Regression(), updates=400, family={"mine": lambda max_lr: lr.cosine(max_lr, 0.0, 400)})
    plan = replace(plan, optimizer="adam", batch=32, noise_scale=100.0)
    carried = plan.carry(batch=64)
    assert carried.schedule(0) == pytest.approx(carried.lr)
    assert carried.schedule(200) == pytest.approx(plan.schedule(200) * carried.lr / plan.max_lr)
    longer = plan.carry(updates=800)
    assert longer.schedule is None
    assert any(tells(reason, "schedule", 800, "'mine'", "function") for reason in longer.reasons)


def test_a_function_with_the_name_of_a_family_is_not_taken_for_it():
    plan = lr.tune(Regression(), updates=400, family={"wsd": lambda max_lr: lr.cosine(max_lr, 0.0, 400)})
    assert replace(plan, optimizer="adam").carry(updates=800).schedule is None


def test_the_reasons_have_the_numbers_of_each_change(tuned):
    carried = tuned.carry(batch=128, width=2.0, depth=1.5, updates=820)
    batch, width, depth, updates, interval = carried.reasons
    assert tells(batch, "batch", 32, 128, "noise scale", 200, power_of("batch"))
    assert tells(width, "width", 2, power_of("width"))
    assert tells(depth, "depth", 1.5, power_of("depth"))
    assert tells(updates, 410, 820)
    assert tells(interval, "interval")
    assert all(reason in repr(carried) for reason in carried.reasons)


@pytest.mark.parametrize(
    ("changed", "parts"),
    [
        ({}, ("carry", "None", "plan.max_lr")),
        ({"batch": 32}, ("carry", "batch=32")),
        ({"width": 10.0}, ("width", RULES["adam"]["width"].most, 10.0)),
        ({"depth": 0.01}, ("depth", RULES["adam"]["depth"].most, 0.01)),
        ({"updates": 10**6}, ("updates", 10**6)),
        ({"batch": 32 * 1000}, ("batch", RULES["adam"]["batch"].most, 32000)),
        ({"width": 0.0}, ("width", 0)),
        ({"depth": math.nan}, ("depth", "nan")),
        ({"updates": 0}, ("updates", 0)),
    ],
)
def test_what_was_not_measured_is_refused(tuned, changed, parts):
    with pytest.raises(ValueError, match=facts(*parts)):
        tuned.carry(**changed)
    with pytest.raises(TypeError, match=facts("batch", "2.5")):
        tuned.carry(batch=2.5)


def test_what_lost_against_keeping_the_lr_is_refused(tuned):
    with pytest.raises(ValueError, match=facts("depth", 1, "SGD", 2.0, "docs/carry.md", "tune")):
        replace(tuned, optimizer="sgd").carry(depth=2.0)


def test_adams_lr_falls_with_the_length_far_below_the_noise_scale_and_rises_above_it():
    drifts = [
        log2_factor(Tuned(0.01, "adam", updates=1000, batch=batch, noise_scale=256.0), updates=2000)
        for batch in (1, 16, 128, 256, 512, 4096)
    ]
    assert drifts[0] == drifts[1] < drifts[2] < 0 == drifts[3] < drifts[4] == drifts[5] < -drifts[0]
    assert drifts[0] < log2_factor(Tuned(0.01, "adam", updates=1000), updates=2000) < 0


def test_the_lr_of_sgd_stays_with_the_length_and_its_interval_is_wider(tuned):
    plan = replace(tuned, optimizer="sgd")
    carried = plan.carry(updates=1000)
    assert carried.lr == plan.max_lr
    assert carried.interval[0] < plan.interval[0] < plan.interval[1] < carried.interval[1]
    assert carried.schedule.length == 1000
    assert tells(carried.reasons[0], 410, 1000, "SGD", "does not change")


@pytest.mark.parametrize(
    ("missing", "changed", "parts"),
    [
        ("optimizer", {"width": 2.0}, ("optimizer", "Adam", "SGD")),
        ("batch", {"batch": 64}, ("batch size", 64)),
        ("noise_scale", {"batch": 128}, ("noise scale", 32, 128)),
    ],
)
def test_what_a_plan_does_not_know_is_an_answer_with_a_remedy(tuned, missing, changed, parts):
    with pytest.raises(NoAnswerError, match=facts(*parts)) as caught:
        replace(tuned, **{missing: None}).carry(**changed)
    assert "Tune" in caught.value.remedy


def test_a_small_change_of_the_batch_needs_no_noise_scale_and_has_a_wider_interval(tuned):
    without, with_it = replace(tuned, noise_scale=None).carry(batch=64), tuned.carry(batch=64)
    assert tuned.max_lr < without.lr < with_it.lr
    ratios = [carried.interval[1] / carried.interval[0] for carried in (without, with_it)]
    assert ratios[0] > ratios[1]


def test_a_plan_keeps_what_carrying_needs_and_older_records_load(tuned, tmp_path):
    tuned.save(tmp_path / "plan.json")
    assert lr.Plan.load(tmp_path / "plan.json") == tuned
    older = {name: value for name, value in tuned.as_record().items() if name not in ("optimizer", "batch", "noise_scale")}
    assert lr.Plan.from_record(older) == replace(tuned, optimizer=None, batch=None, noise_scale=None)


@pytest.mark.parametrize(
    ("changed", "parts"),
    [
        ({"optimizer": "lion"}, ("optimizer", "'adam'", "'lion'")),
        ({"batch": 0}, ("batch", 1, 0)),
        ({"noise_scale": -1.0}, ("noise_scale", 0, -1.0)),
        ({"noise_scale": math.inf}, ("noise_scale", "finite", "inf")),
    ],
)
def test_the_fields_of_a_plan_are_checked(tuned, changed, parts):
    with pytest.raises(ValueError, match=facts(*parts)):
        replace(tuned, **changed)


def test_a_training_that_does_not_say_its_optimizer_has_no_rules():
    with pytest.raises(NoAnswerError, match=facts("optimizer")):
        lr.tune(Quadratic(), updates=300).carry(width=2.0)
