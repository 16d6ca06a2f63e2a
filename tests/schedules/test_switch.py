"""switch: other schedules from milestones on, all of which count from the start."""

import pickle

import jax
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import learnrate as lr
from learnrate.errors import ArgumentError, ArgumentTypeError, UnresolvedError
from strategies import FUNCTIONS, leaves

A, B, C = lr.linear(1.0, 0.0, 100), lr.constant(0.5), lr.cosine(0.4, 0.1, 50)


@given(
    first=leaves,
    second=leaves,
    third=leaves,
    milestones=st.lists(st.integers(1, 60), min_size=2, max_size=2, unique=True).map(sorted),
)
def test_values_are_those_of_the_schedule_in_force(first, second, third, milestones):
    schedule = lr.switch((first, second, third), tuple(milestones))
    parts = (first, second, third)
    counts = [0, 1, *(m + d for m in milestones for d in (-1, -0.5, 0, 0.5, 1)), 200, 5000]
    for n in counts:
        assert schedule(n) == parts[sum(m <= n for m in milestones)](n)
    array = np.array(counts)
    assert schedule(array) == pytest.approx(np.array([parts[sum(m <= n for m in milestones)](n) for n in counts]), rel=1e-12)
    assert schedule.min <= min(map(schedule, counts)) * (1 + 1e-12)
    assert schedule.max * (1 + 1e-12) >= max(map(schedule, counts))
    assert lr.parse(repr(schedule), FUNCTIONS) == schedule == pickle.loads(pickle.dumps(schedule))
    assert hash(lr.parse(repr(schedule), FUNCTIONS)) == hash(schedule)


@pytest.mark.parametrize(
    ("schedule", "length"),
    [
        (lr.switch((B, A), (30,)), 100),
        (lr.switch((A, B), (30,)), None),
        (lr.switch((B, C), (80,)), 80),  # the last schedule ends before it begins
        (lr.switch((A, C), (30,)), 50),
    ],
)
def test_length(schedule, length):
    assert schedule.length == length
    assert lr.switch((A, lr.linear(0.1, 0.0, "50%")), (30,)).resolve(80).length == 40


def test_lengths_that_depend_on_the_run():
    schedule = lr.switch((lr.cosine(0.1, 0.0), lr.linear(0.2, 0.0), lr.constant(0.3)), ("25%", "50%"))
    assert not schedule.is_resolved
    with pytest.raises(UnresolvedError):
        schedule(3)
    resolved = schedule.resolve(200)
    assert resolved == lr.switch((lr.cosine(0.1, 0.0, 200), lr.linear(0.2, 0.0, 200), lr.constant(0.3)), (50, 100))
    with pytest.raises(UnresolvedError):
        lr.switch((A, B, C), (10, "80%"))(3)
    epochs = lr.switch((A, B), ("2 epochs",)).resolve(lr.Horizon(100, updates_per_epoch=7))
    assert epochs.milestones == (14,)
    mixed = lr.switch((A, B, C), ("60%", "50 updates"))
    assert mixed.resolve(50).milestones == (30, 50)
    with pytest.raises(ArgumentError, match="milestones"):
        mixed.resolve(100)  # 60 is not below 50


def test_milestones_and_inside_of_other_schedules():
    schedule = lr.switch((A, B), (30,))
    assert (schedule.shift(10)(39), schedule.shift(10)(40)) == (A(29), 0.5)
    chain = lr.switch((A, lr.linear(0.5, 0.0, 50)), (30,)) >> lr.constant(0.9)
    assert [chain(n) for n in (29, 30, 49, 50)] == [A(29), lr.linear(0.5, 0.0, 50)(30), lr.linear(0.5, 0.0, 50)(49), 0.9]
    again = lr.switch((A, C), (30,)).repeat(2)
    assert again(50 + 30) == C(30)
    nested = lr.switch((lr.switch((A, B), (10,)), C), (40,))
    assert [nested(n) for n in (9, 10, 40)] == [A(9), 0.5, C(40)]
    assert (2 * schedule)(30) == 1.0


def test_edges_and_cycles_are_those_in_force():
    cycles = lr.warm_restarts(0.1, 10)
    schedule = lr.switch((cycles, B, lr.warm_restarts(0.1, 25)), (25, 60))
    assert list(schedule.cycle_ends(130)) == [10, 20, 75, 100, 125]
    assert {25, 60} <= set(schedule.boundaries(130))
    assert 30 not in schedule.boundaries(130)
    assert list(lr.switch((cycles, cycles), (20,)).cycle_ends(45)) == [10, 20, 30, 40]
    assert list(schedule.cycle_ends(15)) == [10]


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64, torch.uint8, torch.float32, torch.float64])
def test_arrays_of_torch(dtype):
    schedule = lr.switch((A, B, C), (30, 2**40))
    counts = torch.tensor([0, 29, 30, 200], dtype=dtype)
    assert schedule(counts).tolist() == pytest.approx([1.0, A(29), 0.5, 0.5])


def test_in_jax():
    schedule = lr.switch((A, B, C), (30, 40))
    counts = jax.numpy.array([0, 29, 30, 39, 40, 60])
    assert jax.jit(schedule)(counts).tolist() == pytest.approx([1.0, A(29), 0.5, 0.5, C(40), C(60)])
    assert jax.vmap(schedule)(counts).tolist() == pytest.approx([1.0, A(29), 0.5, 0.5, C(40), C(60)])
    peak = jax.vmap(lambda p: lr.switch((lr.constant(p), B), (30,))(3))(jax.numpy.array([0.1, 0.2]))
    assert peak.tolist() == pytest.approx([0.1, 0.2])
    with pytest.raises(ArgumentError):
        lr.switch((A, B), (2**40,))(counts)


@pytest.mark.parametrize(
    "build",
    [
        lambda: lr.switch((A,), (3,)),
        lambda: lr.switch((A, B), ()),
        lambda: lr.switch((A, B), (3, 4)),
        lambda: lr.switch((A, B, C), (4, 3)),
        lambda: lr.switch((A, B, C), (3, 3)),
        lambda: lr.switch((A, B), (0,)),
        lambda: lr.switch((), ()),
    ],
)
def test_arguments_out_of_range(build):
    with pytest.raises(ArgumentError):
        build()


@pytest.mark.parametrize(
    "build",
    [
        lambda: lr.switch(A, (3,)),
        lambda: lr.switch((A, 0.5), (3,)),
        lambda: lr.switch((A, B), 3),
        lambda: lr.switch((A, B), (3.5,)),
        lambda: lr.switch((A, "constant(0.5)"), (3,)),
    ],
)
def test_arguments_of_the_wrong_type(build):
    with pytest.raises((ArgumentTypeError, ArgumentError)):
        build()
