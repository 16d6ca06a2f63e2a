"""The controllers beside `plateau`: each acts where it should, and not elsewhere."""

import itertools
import json
import math
from random import Random

import numpy as np
import pytest
from benchmarks.controller_curves import SEEN, falls, first_actions, noise_only
from benchmarks.noisy_quadratic import actions, train

from learnrate import constant, cosine, linear
from learnrate.control import Control, Observation, cooldown_now, gradient_size, oscillation, plateau, slow
from learnrate.control.controller import as_json, restored
from learnrate.control.oscillation import OF_NOISE
from learnrate.errors import ArgumentError, ArgumentTypeError

PATIENCE = 64


def run(controller, observations):
    """The state and the action after each observation."""
    state, steps = controller.init(), []
    for observation in observations:
        state, action = controller.update(state, observation)
        steps.append((state, action))
    return steps


def losses_at(lr, losses):
    return [Observation(n, lr(n) if callable(lr) else lr, float(loss)) for n, loss in enumerate(losses)]


def fall_and_stay(updates=1500):
    return np.maximum(0.5, 2 - np.arange(updates) / 200) + np.random.default_rng(0).normal(0, 0.05, updates)


def test_the_cooldown_begins_once_when_nothing_is_gained():
    steps = run(cooldown_now(200, PATIENCE), losses_at(0.1, fall_and_stay()))
    begun = [(n, action.cooldown) for n, (_, action) in enumerate(steps) if action.cooldown]
    assert [length for _, length in begun] == [200]
    assert 300 <= begun[0][0] < 300 + 5 * PATIENCE


def test_no_cooldown_where_the_lr_changes():
    losses = np.random.default_rng(1).normal(0, 1, 1500)
    assert not any(
        action.cooldown for _, action in run(cooldown_now(200, PATIENCE), losses_at(cosine(0.1, 0, 1500), losses))
    )
    assert any(action.cooldown for _, action in run(cooldown_now(200, PATIENCE), losses_at(0.1, losses)))


def test_the_cooldown_of_a_run_is_in_its_schedule():
    control = Control([constant(0.1)], cooldown_now(200, PATIENCE))
    for n, loss in enumerate(fall_and_stay()):
        control.observe(Observation(n, control.schedules[0](n), float(loss)))
        control.settle(n + 1)
    (event,) = control.events
    assert event.kind == "cooldown"
    assert "200 updates" in event.reason
    assert control.schedules[0](event.update) == 0.1
    assert control.schedules[0](event.update + 100) == pytest.approx(0.05, rel=0.6)
    assert control.schedules[0](event.update + 200) == 0


def gained_by(factor_to_gain, updates=2000, noise=0.2, lr=1e-3, controller=None):
    """Losses that fall by what `factor_to_gain` says of the factor, under `slow`."""
    controller = slow(patience=PATIENCE) if controller is None else controller
    random, state, loss, factors = Random(0), controller.init(), 10.0, [1.0]
    for n in range(updates):
        loss -= factor_to_gain(factors[-1])
        state, action = controller.update(state, Observation(n, lr * factors[-1], loss + random.gauss(0, noise)))
        factors.append(action.factor)
    return factors, state


def test_the_lr_is_raised_as_long_as_that_gains():
    factors, _ = gained_by(lambda factor: 0.001 * factor)
    assert max(factors) > 2
    assert max(factors) <= 10
    assert sorted(factors) == factors


def test_the_largest_factor():
    factors, _ = gained_by(lambda factor: 0.001 * factor, controller=slow(patience=PATIENCE, max_factor=2.0))
    assert max(factors) == 2.0


def test_a_raise_that_harms_is_taken_back_for_good():
    factors, state = gained_by(lambda factor: 0.001 if factor == 1 else -0.004, updates=3000)
    changes = [(a, b) for a, b in itertools.pairwise(factors) if a != b]
    assert changes == [(1.0, 1.5), (1.5, 1.0)]
    assert state.ceiling == 1.0


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_raise_that_breaks_the_loss_is_taken_back_at_once(broken):
    factors, _ = gained_by(lambda factor: 0.001 if factor == 1 else broken)
    raised = factors.index(1.5)
    assert factors[raised + 1] == 1.0


def test_a_raise_after_which_the_loss_leaps_is_taken_back_soon():
    factors, _ = gained_by(lambda factor: 0.001 if factor == 1 else -1.0)
    assert factors.count(1.5) < 20


def test_an_lr_that_something_else_has_lowered_is_not_raised():
    controller, random = slow(patience=PATIENCE), Random(0)
    state, factors = controller.init(), []
    for n in range(2000):
        lr = 1e-3 if n < 100 else 1e-4
        state, action = controller.update(state, Observation(n, lr * state.factor, 10 - 0.001 * n + random.gauss(0, 0.2)))
        factors.append(action.factor)
    assert set(factors) == {1.0}


@pytest.mark.slow
def test_slow_does_nothing_where_there_is_no_fall():
    losses, _ = noise_only(np.random.default_rng(2), 50, 1600)
    assert (first_actions(slow(patience=160), losses) >= 0).mean() < 0.05


@pytest.mark.parametrize("period", [2, 4, 8, 16, 30])
def test_an_oscillation_lowers_the_lr(period):
    noise = np.random.default_rng(3).normal(0, 0.1, 3000)
    losses = np.cos(2 * np.pi * np.arange(3000) / period) + noise
    steps = run(oscillation(patience=1000), losses_at(0.1, losses))
    assert {action.factor for _, action in steps[:999]} == {1.0}
    assert steps[1300][1].factor == 0.5


@pytest.mark.slow
def test_noise_and_falls_are_no_oscillation():
    rng = np.random.default_rng(4)
    still, _ = noise_only(rng, 60, 1500)
    falling, _, _ = falls(rng, 60, 1500, PATIENCE, (SEEN, 50.0))
    assert (first_actions(oscillation(patience=700), np.concatenate([still, falling], axis=1)) < 0).all()


def test_batches_drawn_without_replacement_are_no_oscillation():
    rng = np.random.default_rng(5)
    for size in (4, 8, 32):
        batches = rng.normal(size=size)
        losses = np.concatenate([rng.permutation(batches) for _ in range(2400 // size)])
        assert {action.factor for _, action in run(oscillation(patience=1000), losses_at(0.1, losses))} == {1.0}


def test_the_constants_of_noise_are_those_of_the_averages():
    response = np.zeros(8000)
    response[0] = 1.0
    for k, expected in enumerate(OF_NOISE):
        average, value, share = np.empty_like(response), 0.0, 0.5 ** (k + 1)
        for n, shorter in enumerate(response):
            value += share * (shorter - value)
            average[n] = value
        assert ((response - average) ** 2).sum() == pytest.approx(expected, rel=1e-4)
        response = average


def norms(sizes):
    return [Observation(n, 0.1, 1.0, size) for n, size in enumerate(sizes)]


def test_the_lr_falls_as_gradients_grow_and_rises_as_they_shrink():
    controller = gradient_size(smoothing=20, max_factor=2.0)
    grown = run(controller, norms([1.0] * 100 + [4.0] * 200))
    shrunk = run(controller, norms([1.0] * 100 + [0.8] * 200))
    assert grown[-1][1].factor == pytest.approx(0.25, rel=0.2)
    assert shrunk[-1][1].factor == pytest.approx(1.25, rel=0.2)
    assert run(controller, norms([1.0] * 100 + [1e6] * 900))[-1][1].factor == 0.1
    assert run(controller, norms([1.0] * 100 + [1e-6] * 900))[-1][1].factor == 2.0
    assert run(gradient_size(smoothing=20), norms([1.0] * 100 + [1e-6] * 900))[-1][1].factor == 1.0
    assert run(gradient_size(smoothing=20, power=0.5), norms([1.0] * 100 + [4.0] * 300))[-1][1].factor == pytest.approx(
        0.5, 0.2
    )


def test_gradients_of_one_size_change_nothing():
    random = Random(0)
    steps = run(gradient_size(max_factor=2.0), norms([random.lognormvariate(0, 0.5) for _ in range(5000)]))
    assert {action.factor for _, action in steps} == {1.0}


@pytest.mark.parametrize("sizes", [[0.0] * 500, [math.nan] * 500, [1.0] * 250 + [math.inf, math.nan] * 250])
def test_gradients_without_a_size_change_nothing(sizes):
    assert {action.factor for _, action in run(gradient_size(smoothing=20), norms(sizes))} == {1.0}


def test_changes_of_the_gradient_size_are_few():
    sizes = np.exp(np.linspace(0, math.log(5), 5000) + np.random.default_rng(6).normal(0, 0.3, 5000))
    factors = [action.factor for _, action in run(gradient_size(), norms(sizes))]
    assert len(set(factors)) < 15
    assert factors[-1] == pytest.approx(0.2, rel=0.3)


@pytest.mark.slow
def test_several_together_come_to_rest():
    together = {
        "slow": slow(patience=120),
        "plateau": plateau(patience=120),
    }
    result = train(together, np.full(4, 1.0), 1200)
    assert 0 < actions(result["factor"]).max() < 12
    assert np.median(result["excess"]) < 0.3 * np.median(train({}, np.full(4, 1.0), 1200)["excess"])


CONTROLLERS = [
    cooldown_now(100, PATIENCE),
    slow(patience=PATIENCE),
    oscillation(patience=400),
    gradient_size(smoothing=20),
]


@pytest.mark.parametrize("controller", CONTROLLERS, ids=lambda controller: type(controller).__name__)
@pytest.mark.parametrize("at", [3, 333, 901])
def test_a_run_that_is_resumed_goes_on_as_the_one_that_was_not(controller, at):
    n = np.arange(1200)
    losses = 2 - 0.001 * n + 0.5 * np.sin(n / 3) * (n > 500) + np.random.default_rng(7).normal(0, 0.2, 1200)
    observations = [Observation(int(k), 0.1, float(loss), abs(float(loss))) for k, loss in zip(n, losses, strict=True)]
    whole = run(controller, observations)
    state = restored(controller, json.loads(json.dumps(as_json(run(controller, observations[:at])[-1][0]))))
    for observation, expected in zip(observations[at:], whole[at:], strict=True):
        state, action = controller.update(state, observation)
        assert (state, action) == expected


@pytest.mark.parametrize(
    "controller", [*CONTROLLERS, plateau(patience=PATIENCE)], ids=lambda controller: type(controller).__name__
)
def test_text_restart_and_evaluations(controller):
    assert eval(repr(controller)) == controller
    steps = run(controller, [*norms([1.0] * 5), Observation(5, 0.1, 1.0, 1.0, restarts=True)])
    assert steps[-1][1].factor == 1.0
    state, action = controller.update(steps[-1][0], Observation(5, 0.1, metrics={"accuracy": 0.5}))
    assert action.factor == 1.0
    assert not action.cooldown
    assert len(state) == len(controller.init())


@pytest.mark.parametrize(
    ("make", "settings", "error", "name"),
    [
        (cooldown_now, {"length": 0, "patience": 10}, ArgumentError, "length"),
        (slow, {"patience": 10, "factor": 1.0}, ArgumentError, "factor"),
        (slow, {"patience": 10, "factor": 0.5}, ArgumentError, "factor"),
        (slow, {"patience": 10, "max_factor": math.inf}, ArgumentError, "max_factor"),
        (oscillation, {"patience": "long"}, ArgumentTypeError, "patience"),
        (oscillation, {"min_factor": 0.0}, ArgumentError, "min_factor"),
        (gradient_size, {"power": 0.0}, ArgumentError, "power"),
        (gradient_size, {"max_factor": 0.5}, ArgumentError, "max_factor"),
        (gradient_size, {"step": 1.0}, ArgumentError, "step"),
    ],
)
def test_arguments(make, settings, error, name):
    with pytest.raises(error, match=name):
        make(**settings)


def test_each_says_why():
    control = Control([linear(0.1, 0.09, 3000)], [slow(patience=PATIENCE), gradient_size(smoothing=20)])
    random = Random(1)
    for n in range(2000):
        loss = 10 - 0.001 * n + random.gauss(0, 0.2)
        control.observe(Observation(n, control.schedules[0](n), loss, 1.0 if n < 500 else 3.0))
        control.settle(n + 1)
    reasons = {event.who: event.reason for event in control.events}
    assert set(reasons) == {"slow", "gradient_size"}
    assert all(any(character.isdigit() for character in reason) for reason in reasons.values())
