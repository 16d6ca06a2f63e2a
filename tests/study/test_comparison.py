"""Comparisons: on the same seeds, every training kept."""

import pytest

import learnrate as lr
from facts import facts
from learnrate.errors import LearnrateError
from learnrate.study import Comparison, Training, compare

ARMS = {"plan": lr.constant(0.2), "constant": lr.constant(0.1)}


def train(name, schedule, seed):
    return Training(seed, schedule(0) + seed / 100, (1.0, 0.5), metric="accuracy")


def test_every_schedule_is_trained_with_a_seed_before_the_next_seed():
    order, snapshots = [], []

    def noted(name, schedule, seed):
        order.append((name, seed))
        return train(name, schedule, seed)

    result = compare(ARMS, noted, seeds=[3, 4, 5], updates=2, on_training=snapshots.append)
    assert order == [(name, seed) for seed in (3, 4, 5) for name in ("plan", "constant")]
    assert [sum(len(arm.trainings) for arm in snapshot.arms) for snapshot in snapshots] == [1, 2, 3, 4, 5, 6]
    assert result["plan"].scores == pytest.approx((0.23, 0.24, 0.25))
    assert result["plan"].mean == pytest.approx(0.24)
    assert result["plan"].std == pytest.approx(0.01)
    assert snapshots[-1] == result
    assert result.metric == "accuracy"
    with pytest.raises(KeyError):
        result["other"]


def test_a_single_seed_has_no_spread():
    assert compare(ARMS, train, seeds=[0], updates=2)["plan"].std == 0.0


def test_the_record_holds_every_training():
    record = compare(ARMS, train, seeds=[0, 1], updates=2).as_record()
    assert record["arms"]["plan"]["trainings"][1] == {
        "seed": 1,
        "score": pytest.approx(0.21),
        "losses": [1.0, 0.5],
        "checkpoints": [],
        "scores": [],
    }
    assert Comparison(2, ()).as_record()["arms"] == {}


@pytest.mark.parametrize(
    ("argument", "value", "named"),
    [
        ("schedules", [lr.constant(0.1)], "schedules"),
        ("schedules", {"plan": 0.1}, "schedules['plan']"),
        ("schedules", {1: lr.constant(0.1)}, "name"),
        ("train", None, "train"),
        ("train", lambda name, schedule, seed: 0.5, "Training"),
        ("seeds", 5, "seeds"),
        ("seeds", [0, 1.5], "seeds[1]"),
        ("seeds", [10**30], "seeds[0]"),
        ("updates", 0, "updates"),
        ("updates", "2", "updates"),
    ],
)
def test_arguments_are_checked(argument, value, named):
    arguments = {"schedules": ARMS, "train": train, "seeds": [0], "updates": 2, argument: value}
    with pytest.raises(LearnrateError, match=facts(named)):
        compare(**arguments)


@pytest.mark.parametrize(("arms", "seeds"), [({}, [0]), (ARMS, [])])
def test_a_comparison_of_nothing_is_refused(arms, seeds):
    with pytest.raises(ValueError, match=facts("schedule", "seed")):
        compare(arms, train, seeds=seeds, updates=2)


def test_every_seed_of_torch_is_a_seed():
    seeds = [-(2**63), 2**63 + 1, 2**64 - 1]
    assert [training.seed for training in compare(ARMS, train, seeds=seeds, updates=2)["plan"].trainings] == seeds
