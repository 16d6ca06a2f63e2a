"""`plateau`: acts on a plateau, soon; never while the loss falls; whatever the loss's sign, scale and noise."""

import itertools
import json
import math

import numpy as np
import pytest
from benchmarks.controller_curves import NOISES, SEEN, falls, first_actions, noise_only, sees, torch_first_actions

from learnrate import linear, warmup
from learnrate.control import Control, Observation, plateau
from learnrate.control.controller import as_json, restored
from learnrate.control.trend import Trend, add, block_length
from learnrate.control.trend import falls as fall_at_each_part
from learnrate.errors import ArgumentError, ArgumentTypeError, NotMeasuredWarning

PATIENCE = 64


def run(controller, losses, lr=0.1, state=None, start=0, restarts=()):
    """The factor after each update, with the LR that follows from it, and the last state."""
    state, factors = controller.init() if state is None else state, []
    factor = getattr(state, "factor", 1.0)
    for n, loss in enumerate(losses, start=start):
        present = (lr(n) if callable(lr) else lr) * factor
        state, action = controller.update(state, Observation(n, present, float(loss), restarts=n in restarts))
        factor = action.factor
        factors.append(factor)
    return factors, state


def fall_and_stay(updates=1500, seed=0):
    noise = np.random.default_rng(seed).normal(0, 0.05, updates)
    return np.maximum(0.5, 2 - np.arange(updates) / 200) + noise


@pytest.mark.slow
def test_no_steady_fall_is_interrupted_and_torch_interrupts_many():
    losses, _, noise = falls(np.random.default_rng(1), 60, 2560, 256, (SEEN, 50.0))
    assert noise.max() > 0.1
    assert (first_actions(plateau(patience=256), losses) < 0).all()
    assert (torch_first_actions(losses, 256) >= 0).mean() > 0.2


def test_a_fall_that_cannot_be_seen_is_interrupted():
    losses, _, _ = falls(np.random.default_rng(2), 30, 10 * PATIENCE, PATIENCE, (0.05, 0.5))
    assert (first_actions(plateau(patience=PATIENCE), losses) >= 0).all()


def test_it_acts_soon_where_there_is_only_noise():
    losses, _ = noise_only(np.random.default_rng(3), 100, 5 * PATIENCE)
    acted = first_actions(plateau(patience=PATIENCE), losses)
    assert (acted >= PATIENCE - 1).all()
    assert np.quantile(acted, 0.5) < 1.5 * PATIENCE
    assert np.quantile(acted, 0.95) < 3 * PATIENCE


@pytest.mark.parametrize("seed", range(3))
def test_it_acts_after_the_fall_has_ended_and_not_before(seed):
    factors, _ = run(plateau(patience=PATIENCE), fall_and_stay(seed=seed))
    lowered = factors.index(0.3)
    assert 300 <= lowered < 300 + 5 * PATIENCE


def test_how_well_a_fall_is_seen_is_what_the_averages_show():
    rng, count, updates = np.random.default_rng(4), 4000, PATIENCE
    curve = np.linspace(1, 0, updates)[:, None]
    wide = sees(np.repeat(curve, 2, axis=1), np.ones((updates, 2)), np.array([0.0, 0.5]), PATIENCE)
    assert wide[0] == pytest.approx(wide[1] * math.sqrt(3), rel=1e-6)
    trend = Trend(*(np.zeros(count) for _ in Trend._fields))
    for values in curve + NOISES["normal"][0](rng, (updates, count)):
        trend, _ = add(trend, values, block_length(PATIENCE), np)
    measured = fall_at_each_part(trend, np)[0][0]
    assert measured.mean() / measured.std() == pytest.approx(wide[0], rel=0.1)


def test_scale_shift_and_sign_change_nothing():
    losses = fall_and_stay()
    expected, _ = run(plateau(patience=PATIENCE), losses)
    assert min(expected) < 1
    for scaled in (1024 * losses, losses / 4096, losses - 32.0, losses + 1000.0, 2.0**-20 * losses - 8.0):
        assert run(plateau(patience=PATIENCE), scaled)[0] == expected
    assert run(plateau(patience=PATIENCE, mode="max"), -losses)[0] == expected


def test_losses_that_are_not_finite_are_not_counted():
    losses = list(fall_and_stay())
    expected, _ = run(plateau(patience=PATIENCE), losses)
    broken = [value for loss in losses for value in (loss, math.nan, math.inf, -math.inf)]
    assert run(plateau(patience=PATIENCE), broken)[0][::4] == expected


def test_single_losses_far_off_hardly_matter():
    losses = 1 - np.arange(1500) / 1500 + np.random.default_rng(5).normal(0, 0.02, 1500)
    losses[500::97] += 1000.0
    factors, _ = run(plateau(patience=PATIENCE), losses)
    assert set(factors) == {1.0}


def test_the_patience_doubles_after_each_change_that_gains_nothing():
    losses = np.random.default_rng(6).normal(0, 1, 40 * PATIENCE)
    factors, state = run(plateau(patience=PATIENCE), losses)
    changes = [n for n, (a, b) in enumerate(itertools.pairwise(factors)) if a != b]
    assert 2 <= len(changes) <= 6
    assert state.patiences == 2 ** (len(changes) - 1)
    assert all(later - earlier >= PATIENCE * 2**k for k, (earlier, later) in enumerate(itertools.pairwise(changes)))


def test_the_patience_stays_where_each_change_gains():
    rng, state, levels = np.random.default_rng(7), None, []
    controller = plateau(patience=PATIENCE)
    state, factor = controller.init(), 1.0
    for n in range(20 * PATIENCE):
        state, action = controller.update(state, Observation(n, 0.1 * factor, factor + rng.normal(0, 0.05 * factor)))
        factor = action.factor
        levels.append(factor)
    assert state.patiences == 1
    assert len(set(levels)) > 6


def test_floors():
    losses = np.random.default_rng(8).normal(0, 1, 100 * PATIENCE)
    assert min(run(plateau(patience=PATIENCE, min_lr=0.02), losses)[0]) * 0.1 == pytest.approx(0.02)
    assert min(run(plateau(patience=PATIENCE, min_factor=0.25), losses)[0]) == pytest.approx(0.25)
    assert set(run(plateau(patience=PATIENCE, min_lr=0.2), losses)[0]) == {1.0}


def test_a_cycle_begins_with_the_first_factor():
    losses = np.random.default_rng(9).normal(0, 1, 12 * PATIENCE)
    factors, state = run(plateau(patience=PATIENCE), losses, restarts={6 * PATIENCE})
    assert factors[6 * PATIENCE - 1] < 1
    assert factors[6 * PATIENCE] == 1
    assert (
        factors[:PATIENCE]
        == factors[6 * PATIENCE : 7 * PATIENCE]
        == [1.0] * (PATIENCE - 1) + factors[PATIENCE - 1 : PATIENCE]
    )
    assert state.factor == factors[-1]


def test_nothing_is_decided_during_a_warmup():
    losses = np.random.default_rng(10).normal(0, 1, 4 * PATIENCE)
    constant, _ = run(plateau(patience=PATIENCE), losses)
    assert constant[2 * PATIENCE] < 1
    rising, _ = run(plateau(patience=PATIENCE), losses, lr=warmup(0.1, 4 * PATIENCE))
    assert set(rising) == {1.0}


def test_a_milestone_begins_a_new_stretch():
    losses = np.random.default_rng(11).normal(0, 1, PATIENCE + 40)
    stepped, _ = run(plateau(patience=PATIENCE), losses, lr=lambda n: 0.1 if n < 50 else 0.01)
    assert set(stepped) == {1.0}
    falling, _ = run(plateau(patience=PATIENCE), losses, lr=linear(0.1, 0.05, 10 * PATIENCE))
    assert min(falling) < 1


def test_cooldown_leaves_values_out():
    losses = np.zeros(6 * PATIENCE)
    plain, _ = run(plateau(patience=PATIENCE), losses)
    waiting, _ = run(plateau(patience=PATIENCE, cooldown=20), losses)
    change = lambda factors, k: [n for n, (a, b) in enumerate(itertools.pairwise(factors)) if a != b][k]  # noqa: E731
    assert change(plain, 0) == change(waiting, 0)
    assert change(waiting, 1) == change(plain, 1) + 20


def test_a_metric_of_evaluations():
    controller, state, factors = plateau(patience=10, monitor="accuracy", mode="max"), None, []
    state = controller.init()
    assert not controller.needs_loss
    assert plateau(patience=10).needs_loss
    for n in range(600):
        state, action = controller.update(state, Observation(n, 0.1 * state.factor, loss=1.0))
        if n % 10 == 9:
            scores = {"accuracy": min(0.9, n / 100) + 0.001 * (n % 7), "loss": -float(n)}
            state, action = controller.update(state, Observation(n, 0.1 * state.factor, metrics=scores))
        factors.append(action.factor)
    assert factors[100] == 1
    assert factors[-1] < 1


def test_a_metric_that_is_never_there_is_named():
    controller = plateau(patience=10, monitor="acuracy")
    with pytest.warns(NotMeasuredWarning, match="'acuracy'.*accuracy, top5"):
        controller.update(controller.init(), Observation(9, 0.1, metrics={"accuracy": 0.5, "top5": 0.9}))


def test_the_reason_has_the_numbers():
    controller, state = plateau(patience=PATIENCE), None
    control = Control([linear(0.1, 0.05, 3000)], controller)
    for n, loss in enumerate(fall_and_stay()):
        control.observe(Observation(n, control.schedules[0](n), float(loss)))
        control.settle(n + 1)
    event = control.events[0]
    state = restored(controller, json.loads(json.dumps(as_json(control.states["plateau"]))))
    assert state == control.states["plateau"]
    assert "loss" in event.reason
    assert "updates" in event.reason
    assert "0.3" in event.reason
    assert control.schedules[0](1400) == linear(0.1, 0.05, 3000)(1400) * control.events[-1].factor


@pytest.mark.parametrize("at", [5, 250, 431, 777])
def test_a_run_that_is_resumed_goes_on_as_the_one_that_was_not(at):
    controller, losses = plateau(patience=PATIENCE, cooldown=7), fall_and_stay()
    whole, _ = run(controller, losses)
    first, state = run(controller, losses[:at])
    saved = json.loads(json.dumps(as_json(state)))
    second, _ = run(controller, losses[at:], state=restored(controller, saved), start=at)
    assert first + second == whole
    assert min(whole) < 1


def test_the_text_rebuilds_it():
    controller = plateau(20, factor=0.5, monitor="accuracy", mode="max", min_lr=1e-5)
    assert eval(repr(controller)) == controller
    assert hash(controller) == hash(eval(repr(controller)))


@pytest.mark.parametrize(
    ("settings", "error", "name"),
    [
        ({"patience": 0}, ArgumentError, "patience"),
        ({"patience": 2.5}, ArgumentTypeError, "patience"),
        ({"patience": 10, "factor": 1.0}, ArgumentError, "factor"),
        ({"patience": 10, "factor": math.nan}, ArgumentError, "factor"),
        ({"patience": 10, "mode": "lowest"}, ArgumentError, "mode"),
        ({"patience": 10, "monitor": 3}, ArgumentTypeError, "monitor"),
        ({"patience": 10, "cooldown": -1}, ArgumentError, "cooldown"),
        ({"patience": 10, "min_lr": -1.0}, ArgumentError, "min_lr"),
        ({"patience": 10, "min_factor": 1.0}, ArgumentError, "min_factor"),
    ],
)
def test_arguments(settings, error, name):
    with pytest.raises(error, match=name):
        plateau(**settings)


@pytest.mark.slow
@pytest.mark.xdist_group("torch")
def test_torch_is_simulated_as_it_is():
    import torch

    losses, _, _ = falls(np.random.default_rng(12), 12, 800, PATIENCE, (2.0, 20.0))
    expected = []
    for series in losses.T:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        scheduler, lowered = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=PATIENCE), -1
        for n, loss in enumerate(series):
            scheduler.step(loss)
            if optimizer.param_groups[0]["lr"] < 0.1:
                lowered = n
                break
        expected.append(lowered)
    assert torch_first_actions(losses, PATIENCE).tolist() == expected
    assert max(expected) >= 0
