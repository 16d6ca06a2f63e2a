"""Comparisons: paired, every run kept."""

import pytest

import learnrate as lr
from learnrate.study import Comparison, Training, compare

ARMS = {"plan": lr.constant(0.2), "constant": lr.constant(0.1)}


def train(name, schedule, seed):
    return Training(seed, schedule(0) + seed / 100, (1.0, 0.5))


def test_every_arm_sees_every_seed_in_turn():
    order = []
    told = []

    def spied(name, schedule, seed):
        order.append((name, seed))
        return train(name, schedule, seed)

    done = compare(ARMS, spied, seeds=[3, 4, 5], updates=2, metric="accuracy", on_training=told.append)
    assert order == [(name, seed) for seed in (3, 4, 5) for name in ("plan", "constant")]
    assert [sum(len(arm.trainings) for arm in one.arms) for one in told] == [1, 2, 3, 4, 5, 6]
    assert done["plan"].scores == pytest.approx((0.23, 0.24, 0.25))
    assert done["plan"].mean == pytest.approx(0.24)
    assert done["plan"].std == pytest.approx(0.01)
    assert told[-1] == done
    with pytest.raises(KeyError):
        done["other"]


def test_a_single_seed_has_no_spread():
    done = compare(ARMS, train, seeds=[0], updates=2, metric="accuracy")
    assert done["plan"].std == 0.0


def test_the_record_holds_every_run():
    record = compare(ARMS, train, seeds=[0, 1], updates=2, metric="accuracy").as_record()
    assert record["arms"]["plan"]["trainings"][1] == {
        "seed": 1,
        "score": pytest.approx(0.21),
        "losses": [1.0, 0.5],
        "checkpoints": [],
        "scores": [],
    }
    assert Comparison("accuracy", 2, ()).as_record()["arms"] == {}


@pytest.mark.parametrize(("arms", "seeds"), [({}, [0]), (ARMS, [])])
def test_nothing_to_compare(arms, seeds):
    with pytest.raises(ValueError, match="at least one schedule and one seed"):
        compare(arms, train, seeds=seeds, updates=2, metric="accuracy")
