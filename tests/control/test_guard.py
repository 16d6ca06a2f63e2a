"""The guard, as a pure function: what it leaves out, when it rolls back, how the LR recovers, when it gives up."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest

from facts import facts
from learnrate.control import Control, Observation, guard, report
from learnrate.control.controller import as_json, restored
from learnrate.errors import ArgumentError, ArgumentTypeError
from learnrate.schedules import constant
from learnrate.schedules.numerics import NUMBERS

NAN = float("nan")


def falling(updates, seed=0, noise=0.02):
    """The losses of a healthy run: from 2.3 to 0.3, with noise."""
    n = np.arange(updates)
    return (0.3 + 2 * np.exp(-n / 60) + noise * np.random.default_rng(seed).normal(size=updates)).tolist()


class Driven:
    """A guard that sees losses, as an adapter would show them."""

    def __init__(self, controller=None, applied=False):
        self.controller = controller or guard()
        self.state, self.update, self.applied = self.controller.init(), 0, applied
        self.skips, self.rollbacks, self.stops, self.factors = [], [], [], []

    def see(self, *losses, restarts=False, finite=True):
        for loss in losses:
            observation = Observation(
                self.update, 0.1, loss, finite=finite and math.isfinite(loss), restarts=restarts, applied=self.applied
            )
            before = self.state
            self.state, action = self.controller.update(before, observation)
            self.factors.append(action.factor)
            for happened, where in ((action.skip, self.skips), (action.rollback, self.rollbacks), (action.stop, self.stops)):
                if happened:
                    where.append(self.update)
            self.update += not (action.skip or action.rollback)
            self.reason = self.controller.reason(before, self.state, observation)
        return self


def test_a_healthy_run_is_left_alone():
    driven = Driven().see(*falling(1500))
    assert (driven.skips, driven.rollbacks, set(driven.factors)) == ([], [], {1.0})


@pytest.mark.parametrize("at", [0, 1, 5, 300])
def test_a_loss_that_is_not_finite_is_left_out(at):
    losses = falling(400)
    for bad in (NAN, math.inf, -math.inf):
        driven = Driven().see(*losses[:at], bad)
        assert driven.skips == [at]
        assert "not finite" in driven.reason
        assert driven.see(*losses[at:]).rollbacks == []
        assert driven.update == 400


def test_gradients_that_are_not_finite_are_left_out():
    driven = Driven(guard(gradients=True)).see(*falling(50)).see(0.9, finite=False)
    assert driven.skips == [50]
    assert "gradient" in driven.reason
    assert guard(gradients=True).needs_gradient_norm
    assert not guard().needs_gradient_norm


def test_a_spike_is_left_out_and_a_wave_is_not():
    losses = falling(400)
    driven = Driven().see(*losses[:300], losses[300] + 0.2, 3.0)
    assert driven.skips == [301]
    assert tuple(driven.rollbacks) == ()


def test_losses_of_any_sign_and_scale_are_judged_alike():
    for scale, shift in ((1.0, 0.0), (1e-6, 0.0), (1e6, 0.0), (1.0, -3.0)):
        losses = [scale * (loss + shift) for loss in (*falling(300), 3.0, *falling(100, seed=1, noise=0.0)[-100:])]
        driven = Driven().see(*losses[:301])
        assert driven.skips == [300], scale


def test_outliers_that_are_usual_are_let_through():
    rng = np.random.default_rng(0)
    losses = 1 + 0.1 * rng.exponential(size=1500)
    driven = Driven().see(*losses)
    assert len(driven.skips) <= 1
    limit = losses.max()
    assert Driven().see(*losses, limit).skips == driven.skips


def test_rows_that_are_extreme_are_left_out_once():
    losses = falling(1200)
    for at in range(500, 1200, 150):
        losses[at] += 2.0
    driven = Driven().see(*losses)
    assert driven.skips == [500]
    assert driven.see(5e4, losses[-1], 5e4).skips == [500, 1199, 1200], "what no row explains is left out each time"


def test_false_alarms_in_simulated_runs():
    """200 runs at once, with NumPy's functions: benchmarks/guard_alarms.py has more kinds."""
    rng = np.random.default_rng(1)
    n = np.arange(1000.0)[:, None]
    size = rng.choice([0.003, 0.03, 0.2], 200)
    losses = 0.3 + 2 * np.exp(-n / rng.choice([5.0, 30.0, 200.0], 200)) + size * rng.normal(size=(1000, 200))
    losses += np.where(n % 400 < n, 0.5 * np.exp(-(n % 400) / 60), 0)
    controller = guard()
    state, alarms = controller.init(), np.zeros(200)
    for update, loss in enumerate(losses):
        restarts = update in (400, 800)
        state, action = controller.update(state, Observation(update, 0.1, loss, restarts=restarts, xp=np))
        alarms += action.skip + 1.0 * action.rollback
    assert alarms.sum() == 0


def exploded(driven, losses=3):
    return driven.see(*[50.0] * losses)


def test_spikes_in_a_row_are_a_fault_of_the_weights():
    driven = exploded(Driven().see(*falling(300)))
    assert (driven.skips, driven.rollbacks) == ([300, 300], [300])
    assert driven.factors[-1] == 0.1
    assert "weights" in driven.reason


def test_the_lr_recovers_to_exactly_the_schedule_in_few_steps():
    driven = exploded(Driven(guard(factor=0.3, recovery=80)).see(*falling(300)))
    since = len(driven.factors)
    driven.see(*falling(400)[300:], *falling(400)[300:])
    factors = driven.factors[since:]
    assert factors[:39] == [0.3] * 39
    assert factors[79:] == [1.0] * len(factors[79:])
    steps = list(dict.fromkeys(factors))
    assert len(steps) == 5
    ratios = [after / before for before, after in pairwise(steps)]
    assert ratios == pytest.approx([0.3**-0.25] * 4)


def test_the_guard_is_less_confident_each_time_and_then_gives_up():
    driven = Driven(guard(tries=2, recovery=80)).see(*falling(300))
    exploded(driven).see(*falling(310)[300:])
    assert driven.factors[-1] == pytest.approx(0.1)
    exploded(driven).see(*falling(310)[300:])
    assert driven.factors[-1] == pytest.approx(0.01)
    assert driven.stops == []
    exploded(driven)
    assert len(driven.rollbacks) == 3
    assert driven.stops == [320]
    assert "2 rollbacks" in driven.reason


def test_rollbacks_that_lasted_are_forgotten():
    driven = Driven(guard(tries=2, recovery=20)).see(*falling(300))
    for _ in range(6):
        exploded(driven).see(*falling(400)[300:])
    assert driven.stops == []
    assert len(driven.rollbacks) == 6


def test_batches_that_fail_with_good_weights_are_at_fault_themselves():
    driven = exploded(Driven().see(*falling(300)), 20)
    assert driven.rollbacks == [300]
    assert len(driven.skips) == 19
    assert driven.factors[-1] == 1.0, "the LR was not at fault"
    assert driven.see(*falling(400)[300:]).update == 400


def test_data_without_an_end_of_faults_is_given_up():
    driven = Driven().see(*falling(300), *[NAN] * 99)
    assert driven.stops == []
    driven.see(NAN)
    assert driven.stops == [300]
    assert "data" in driven.reason
    assert Driven().see(*[NAN] * 100).stops == [0]


def test_progress_that_is_lost_without_a_spike_is_noticed():
    losses = falling(400)
    rise = [losses[-1] + 0.03 * n for n in range(60)]
    driven = Driven().see(*losses)
    for loss in rise:
        if driven.rollbacks:
            break
        driven.see(loss)
    assert driven.rollbacks
    assert driven.state.level < 1.7


def test_data_that_has_changed_does_not_end_the_run():
    losses = falling(400)
    rise = [1.5 + 0.02 * math.sin(n) for n in range(400)]
    driven = Driven().see(*losses, *(0.3 + 0.02 * n for n in range(60)), *rise)
    assert driven.stops == []
    assert len(driven.rollbacks) <= 2
    assert driven.factors[-1] == 1.0


def test_a_restart_of_the_schedule_is_no_spike():
    losses = falling(400)
    after = [0.3 + 0.5 * math.exp(-n / 60) for n in range(100)]
    assert Driven().see(*losses).see(after[0], restarts=True).see(*after[1:]).skips == []
    assert Driven().see(*losses).see(*after).skips != [], "without the restart it is one"


def test_an_explosion_at_a_restart_is_noticed_at_once():
    driven = Driven().see(*falling(400)).see(0.5, restarts=True).see(0.7, 2.0, 20.0, 300.0, 4000.0)
    assert driven.rollbacks
    assert driven.update <= 403


def test_what_was_applied_before_it_was_noticed_is_rolled_back():
    driven = Driven(applied=True).see(*falling(300), NAN)
    assert (driven.skips, driven.rollbacks) == ([], [300])
    driven = Driven(applied=True).see(*falling(300), 50.0)
    assert (driven.skips, driven.rollbacks) == ([], []), "weights that a spike has not harmed are kept"
    assert driven.see(50.0, 50.0).rollbacks == [302]


def test_evaluations_are_left_alone():
    driven = Driven().see(*falling(50))
    state, action = driven.controller.update(driven.state, Observation(50, 0.1, metrics={"accuracy": NAN}, finite=False))
    assert state == driven.state
    assert not action.skip


def test_snapshots_are_wanted_when_things_are_good():
    controller = guard(every=10)
    driven = Driven(controller).see(*falling(300))
    assert controller.wants_snapshot(driven.state, 300)
    assert not controller.wants_snapshot(driven.state, 301)
    driven.see(50.0)
    assert not controller.wants_snapshot(driven.state, 300)
    assert controller.needs_snapshots


def test_the_state_survives_json_at_any_update():
    losses = [*falling(300), NAN, 50.0, 50.0, 50.0, *falling(400)[300:]]
    through = Driven().see(*losses)
    for at in (0, 1, 25, 301, 303, 350):
        driven = Driven().see(*losses[:at])
        driven.state = restored(driven.controller, json.loads(json.dumps(as_json(driven.state))))
        assert driven.see(*losses[at:]).state == through.state
        assert driven.factors == through.factors


def test_the_quick_way_of_a_quiet_update_changes_nothing():
    slow = type("Slow", (type(NUMBERS),), {})()  # the same functions, but not the object by which the quick way is chosen
    controller = guard(recovery=40)
    rng = np.random.default_rng(3)
    heavy = (2 + 0.1 * rng.standard_t(3, size=600)).tolist()
    for losses in ([*falling(400), NAN, 9.0, *falling(500)[400:], 50.0, 50.0, 50.0, *falling(700)[500:]], heavy, [0.0] * 50):
        quick, slowly, quiet = controller.init(), controller.init(), 0
        for update, loss in enumerate(losses):
            observation = Observation(update, 0.1, loss, finite=math.isfinite(loss), restarts=update == 300)
            quiet += controller._quiet(quick, observation) is not None
            quick, action = controller.update(quick, observation)
            slowly, same = controller.update(slowly, observation._replace(xp=slow))
            assert (quick, action) == (slowly, same), update
        assert quiet > len(losses) / 3 or losses[0] == 0


@pytest.mark.xdist_group("jax")
def test_the_same_decisions_inside_jax_jit():
    jax = pytest.importorskip("jax")
    controller = guard(recovery=40)
    losses = [*falling(150), NAN, 9.0, *falling(200)[150:], 50.0, 50.0, 50.0, *falling(300)[200:]]
    driven = Driven(controller).see(*losses)

    def step(state, row):
        update, loss = row
        finite = jax.numpy.isfinite(loss)
        return controller.update(state, Observation(update, 0.1, loss, finite=finite, xp=jax.numpy))

    state = jax.tree.map(
        lambda value, kind: jax.numpy.asarray(value, kind.dtype), controller.init(), _kinds(jax, step, controller)
    )
    _, actions = jax.jit(lambda state, rows: jax.lax.scan(step, state, rows))(
        state, (jax.numpy.arange(len(losses)), jax.numpy.asarray(losses))
    )
    assert np.flatnonzero(actions.skip).tolist() == [150, 151, 202, 203]
    assert np.flatnonzero(actions.rollback).tolist() == [204]
    assert actions.factor.tolist() == pytest.approx(driven.factors)


def _kinds(jax, step, controller):
    """The dtypes that the state has after an update, which a scan needs from the start."""
    return jax.eval_shape(step, controller.init(), (jax.numpy.asarray(0), jax.numpy.asarray(1.0)))[0]


def test_a_control_writes_what_the_guard_did():
    control = Control([constant(0.1)], guard(recovery=40))
    update = 0
    for loss in [*falling(300), NAN, *falling(310)[300:], 50.0, 50.0, 50.0, *falling(400)[300:]]:
        decision = control.observe(Observation(update, 0.1, loss, finite=math.isfinite(loss)))
        update += not (decision.skip or decision.rollback)
        control.settle(update)
    assert [event.kind for event in control.events] == ["skip", "skip", "skip", "scale", "rollback", *["scale"] * 4]
    assert control.events[0].evidence["tries"] == 0
    assert control.schedule(309) == pytest.approx(0.1)
    assert control.schedule(310) == pytest.approx(0.01)
    assert control.schedule(update) == 0.1
    lines = report(control.events).splitlines()
    assert len(lines) == len(control.events)
    assert "300" in lines[0]
    assert report(control.events, "plateau") == ""


@pytest.mark.parametrize(
    ("arguments", "error", "parts"),
    [
        ({"every": 0}, ArgumentError, ("every", 1)),
        ({"every": 0.5}, ArgumentTypeError, ("every", "integer")),
        ({"spike": 0}, ArgumentError, ("spike", "above 0")),
        ({"spike": NAN}, ArgumentError, ("spike",)),
        ({"patience": 0}, ArgumentError, ("patience",)),
        ({"factor": 1}, ArgumentError, ("factor", "between 0 and 1")),
        ({"factor": "0.1"}, ArgumentTypeError, ("factor", "number")),
        ({"recovery": 0}, ArgumentError, ("recovery",)),
        ({"tries": 0}, ArgumentError, ("tries",)),
        ({"where": "gpu"}, ArgumentError, ("where", "memory", "cpu", "disk")),
        ({"gradients": 1}, ArgumentTypeError, ("gradients", "True")),
        ({"late": "no"}, ArgumentTypeError, ("late", "None")),
        ({"evry": 1}, TypeError, ("evry",)),
    ],
)
def test_arguments_that_break_their_rules(arguments, error, parts):
    with pytest.raises(error, match=facts(*parts)):
        guard(**arguments)
