"""Scenarios of control: what controllers see of each update, what they change, and how a run goes on."""

import contextlib
import math
import os
import random
import shutil
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import keras
import numpy as np
from reporting import BACKEND, CALLS, FOLDER, ONES, Steps, caught, fit, line, scenario, warned

import learnrate as lr
from controllers import Heard
from learnrate.control import Action, Controller, Cooldown, Replace, Stop, Undo

BASE = lr.warmup(0.1, 4) >> lr.one_cycle(max_lr=0.1, length=20)


class Count(NamedTuple):
    updates: int = 0
    factor: float = 1.0


@dataclass(frozen=True)
class halve(Controller):
    """Halve the LR after every `every` updates."""

    every: int = 5

    def init(self):
        return Count()

    def update(self, state, observation):
        if observation.loss is None:
            return state, Action(state.factor)
        updates = state.updates + 1
        factor = state.factor * (1.0 if updates % self.every else 0.5)
        return Count(updates, factor), Action(factor)


@dataclass(frozen=True)
class guard(Controller):
    """Go back after a loss that is not finite, and lower the LR for three updates."""

    every: int = 2
    needs_snapshots: ClassVar[bool] = True
    skips: bool = False

    def wants_snapshot(self, state, update):
        return update % self.every == 0

    def init(self):
        return Count()

    def update(self, state, observation):
        if observation.loss is None:
            return state, Action(state.factor)
        if not observation.finite:
            return Count(3, 0.25), Action(0.25, skip=self.skips, rollback=not self.skips)
        left = max(0, state.updates - 1)
        factor = 0.25 if left else 1.0
        return Count(left, factor), Action(factor)


@dataclass(frozen=True)
class norms(Controller):
    """Only looks."""

    needs_gradient_norm: ClassVar[bool] = True

    def init(self):
        return Count()

    def update(self, state, observation):
        return Count(state.updates + 1), Action()


@dataclass(frozen=True)
class skip_large(Controller):
    """Wants to leave an update out, and has no snapshots."""

    def init(self):
        return Count()

    def update(self, state, observation):
        return state, Action(skip=observation.loss is not None and not observation.finite)


@dataclass(frozen=True)
class ends(Controller):
    """End the run at an update, or at an evaluation."""

    update_number: int | None = None

    def init(self):
        return Count()

    def update(self, state, observation):
        if observation.loss is None:
            return state, Action(stop=self.update_number is None)
        return state, Action(stop=observation.update == self.update_number)


class Hand(keras.callbacks.Callback):
    """A person: asks for changes before batches of the fit, by their numbers."""

    def __init__(self, follow, requests=None, listener=None, first=0):
        super().__init__()
        self.follow, self.requests, self.listener, self.batches, self.asked = follow, requests or {}, listener, first, []

    def on_train_batch_begin(self, batch, logs=None):
        control = self.follow.control
        if self.listener is not None and self.listener not in control.listeners:
            control.listeners.append(self.listener)
        if self.batches in self.requests:
            self.asked.append(control.request(self.requests[self.batches]))
        self.batches += 1


def run(follow, requests=None, *, model=None, optimizer=None, rows=None, first=0, more=(), **arguments):
    """A fit with a follower: the steps, what was logged, and the person."""
    model = line(optimizer or keras.optimizers.SGD(0.5)) if model is None else model
    hand = Hand(follow, requests, rows, first)
    steps, history = fit(model, follow, hand, *more, **arguments)
    return steps, history, hand


def equal(schedule, lrs, first=0):
    """Whether these are the values of the schedule, rounded to single precision, bit for bit."""
    return [float(np.float32(schedule(first + n))) for n in range(len(lrs))] == lrs


def events_of(control):
    return [(event.update, event.kind, event.who, event.factor) for event in control.events]


@scenario
def composed_control():
    """Warm-up, a plateau, a guard, and a person over one cycle; stopped at a random update, saved, loaded, gone on."""
    stop = random.Random(int(os.environ.get("LEARNRATE_SEED", "5"))).randrange(2, 22)
    x = np.arange(1, 25, dtype="float32")[:, None] / 24
    x[8] = np.nan
    requests = {6: lr.control.Scale(0.5), 12: Cooldown(9), 14: Undo(), 18: Replace("cosine(0.05, 0, '100%')")}
    state = FOLDER / BACKEND / "control.json"

    def follow(path=None):
        return lr.keras.Follow(BASE, control={"plateau": halve(5), "guard": guard()}, state_file=path)

    through, rows = follow(), Heard()
    all_steps, _, hand = run(through, requests, rows=rows, x=x)
    before = follow(state)
    first, _, _ = run(before, requests, x=x, steps=Steps(stop_at=stop))
    first.model.save(FOLDER / f"{BACKEND}-control.keras")
    after, loaded = follow(state), keras.models.load_model(FOLDER / f"{BACKEND}-control.keras")
    second, _, _ = run(after, requests, model=loaded, first=stop, x=x[stop:])
    return {
        "stop": stop,
        "through": all_steps.lrs,
        "resumed": first.lrs + second.lrs,
        "same weights": all_steps.weights[1:] == first.weights[1:] + second.weights[1:],
        "events": events_of(through.control),
        "resumed events": events_of(after.control),
        "schedule": equal(through.control.schedule, all_steps.lrs),
        "resumed schedule": through.control.schedule == after.control.schedule,
        "observed lrs": equal(through.control.schedule, [row.lr for row in rows.updates if row.update < 8]),
        "asked": [future.result().update for future in hand.asked],
        "count": int(loaded.optimizer.iterations),
        "weights": all_steps.weights,
        "losses": [row.loss for row in rows.updates],
        "updates": [row.update for row in rows.updates],
        "expected losses": [w * float(v) for w, v in zip(all_steps.weights, x[:, 0], strict=False) if v == v],
        "closed": rows.closed,
        "kinds": [type(event).__name__ for event in rows.events[:1]],
    }


@scenario
def accumulated_control():
    """Updates of two batches; the norm of their mean gradient; clipped, and with a loss scale."""
    x, facts = np.arange(1, 9, dtype="float32")[:, None], {}
    plain = keras.optimizers.SGD(0.5, gradient_accumulation_steps=2, clipnorm=0.5)
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.5), initial_scale=8.0, dynamic_growth_steps=3)
    infinite = x.copy()
    infinite[3] = 3e38  # the loss is 0 or finite, and its gradient is not, once it is scaled
    for name, optimizer, data in (("accumulated", plain, x), ("scaled", scaled, infinite)):
        follow, rows = lr.keras.Follow(lr.constant(0.1), control=[norms()]), Heard()
        steps, _, _ = run(follow, optimizer=optimizer, rows=rows, x=data)
        facts[name] = {
            "norms": [row.gradient_norm for row in rows.updates],
            "losses": [row.loss for row in rows.updates],
            "updates": [row.update for row in rows.updates],
            "weights": steps.weights,
        }
    return facts


@scenario
def recorded():
    """Without controllers: everything reaches a listener, nothing waits, and nothing is compiled again."""
    model, rows = line(keras.optimizers.SGD(0.5, momentum=0.5)), Heard()
    path = FOLDER / f"record-{BACKEND}.sqlite"
    follow = lr.keras.Follow(BASE, control=[], momentum=lr.linear(0.5, 0.9, 24), record=path)
    CALLS.clear()
    requests = {2: lr.control.Scale(0.5), 4: Replace("linear(0.2, 0, 30)")}
    steps, history, _ = run(follow, requests, model=model, rows=rows, x=ONES[:8], epochs=2, validation_data=(ONES, ONES))
    facts = {
        "compilations": len(CALLS),
        "updates": [row.update for row in rows.updates],
        "losses": [row.loss for row in rows.updates],
        "weights": steps.weights,
        "schedule": equal(follow.control.schedule, steps.lrs),
        "rows": equal(follow.control.schedule, [row.lr for row in rows.updates]),
        "evaluations": [(row.update, row.metrics) for row in rows.evaluations],
        "history": history,
        "lrs": steps.lrs,
        "record": equal(lr.Record.load(path).schedule(), steps.lrs),
    }
    CALLS.clear()
    again, _, _ = run(follow, {1: Stop()}, model=model, x=ONES[:8])
    facts["second"] = equal(follow.control.schedule, again.lrs, first=16)
    facts["stopped"] = len(again.lrs)
    facts["compilations of the second"] = len(CALLS)
    facts["between"] = caught(lambda: follow.scale(0.5))
    if BACKEND == "jax":
        blocks = line(keras.optimizers.SGD(0.5), steps_per_execution=3)
        follow, rows = lr.keras.Follow(BASE, control=[halve(2)]), Heard()
        steps, _, _ = run(follow, model=blocks, rows=rows, x=ONES[:8])
        facts["blocks"] = [
            [row.update for row in rows.updates],
            equal(follow.control.schedule, [row.lr for row in rows.updates]),
        ]
        facts["of blocks"] = [steps.used, [sum(row.lr for row in rows.updates[n : n + 3]) for n in (0, 3, 6)]]
    return facts


@scenario
def stops():
    facts, model = {}, line(keras.optimizers.SGD(0.5))
    steps, _, _ = run(lr.keras.Follow(BASE, control=ends(2)), model=model, x=ONES[:8], epochs=2)
    facts["at an update"] = len(steps.lrs)
    steps, _, _ = run(lr.keras.Follow(BASE, control=ends()), model=model, x=ONES[:3], epochs=3, validation_data=(ONES, ONES))
    facts["at an evaluation"] = len(steps.lrs)

    class Fails(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise ZeroDivisionError

    @dataclass(frozen=True)
    class broken(halve):
        def update(self, state, observation):
            raise KeyboardInterrupt

    follow, rows = lr.keras.Follow(lr.constant(0.125), control=[halve(100)]), Heard()
    with contextlib.suppress(ZeroDivisionError):
        run(follow, model=model, rows=rows, more=[Fails()], x=ONES[:4])
    with contextlib.suppress(KeyboardInterrupt):
        run(lr.keras.Follow(BASE, control=[broken()]), model=model, x=ONES[:4])
    facts["weight"] = math.isfinite(float(model.get_weights()[0][0, 0]))
    model.optimizer.learning_rate = 0.25
    facts["alone"] = fit(model, x=ONES[:3])[0].used
    facts["again"] = run(follow, model=model, x=ONES[:3])[0].used
    facts["closed"] = rows.closed
    return facts


@scenario
def faults():
    """Updates that are to be left out: with snapshots and without; metrics of the epoch; a second owner."""
    x, facts = ONES[:8].copy(), {}
    x[5] = np.nan
    model = line(keras.optimizers.SGD(0.5))
    steps, history, _ = run(lr.keras.Follow(lr.constant(0.1), control=guard(every=2, skips=True)), model=model, x=x)
    facts["skipped"] = [steps.weights, history["loss"]]
    # The second batch of update 2; its first one must not be in update 3.
    follow = lr.keras.Follow(lr.constant(0.1), control=guard(skips=True))
    accumulating = keras.optimizers.SGD(0.5, gradient_accumulation_steps=2)
    facts["accumulated"] = run(follow, optimizer=accumulating, x=x)[0].weights
    plain = lr.keras.Follow(lr.constant(0.1), control=skip_large())
    (steps, _, _), facts["warnings"] = warned(lambda: run(plain, x=x))
    facts["stays"] = [steps.weights[5], math.isnan(steps.weights[6])]
    plateau = keras.callbacks.ReduceLROnPlateau(monitor="loss", patience=0, min_delta=10.0, cooldown=0)
    follow = lr.keras.Follow(BASE, control=[halve(5)])
    (steps, _, _), facts["owner"] = warned(lambda: run(follow, more=[plateau], x=ONES[:8], epochs=3))
    facts["owned"] = equal(follow.control.schedule, steps.lrs)
    return facts


@scenario
def backed_up_control():
    """BackupAndRestore in the midst of an epoch and of an update, and the state file."""

    class Fails(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise ZeroDivisionError

    folder, state = FOLDER / f"backup-control-{BACKEND}", FOLDER / BACKEND / "backup-control.json"

    def go(*more, control=(halve(3), ends(100)), **arguments):
        follow = lr.keras.Follow(BASE, control=control, state_file=state)
        restore = keras.callbacks.BackupAndRestore(str(folder), save_freq=5, delete_checkpoint=False)
        optimizer = keras.optimizers.Adam(0.5, gradient_accumulation_steps=2)
        steps, _ = fit(line(optimizer), follow, restore, *more, x=ONES[:8], epochs=3, **arguments)
        return steps, follow

    with contextlib.suppress(ZeroDivisionError):
        go(Fails())
    written, kept = state.read_text(), shutil.copytree(folder, FOLDER / f"kept-{BACKEND}")

    def again(text=written, **arguments):
        state.write_text(text)
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        return go(**arguments)

    second, follow = again()
    facts = {
        "events": events_of(follow.control),
        "schedule": equal_by_batches(follow.control.schedule, second.lrs, first=15),
    }
    facts["lrs"] = second.lrs
    _, facts["other"] = warned(lambda: again(control=[guard()]))
    _, facts["none"] = warned(lambda: again(control=None))
    facts["broken"] = caught(lambda: again(written.replace('"hand"', '"hands"')))
    _, facts["unknown"] = warned(lambda: again(written.replace('"15": {', '"14": {')))
    return facts


def equal_by_batches(schedule, lrs, first):
    return [float(np.float32(schedule((first + n) // 2))) for n in range(len(lrs))] == lrs


@scenario
def own_steps():
    """A train_step of the user that has no metric named "loss"."""

    class Own(keras.Sequential):
        key = "loss"

        def train_step(self, *arguments):
            if BACKEND == "torch":
                self.zero_grad()
                loss = keras.ops.mean(self(arguments[0][0]))
                loss.backward()
                weights = self.trainable_weights
                self.optimizer.apply([weight.value.grad for weight in weights], weights)
                return {self.key: loss.detach()}
            import jax

            (weights, others, of_optimizer, metrics), (x, _) = arguments

            def mean(weights):
                return keras.ops.mean(self.stateless_call(weights, others, x)[0])

            loss, gradients = jax.value_and_grad(mean)(weights)
            weights, of_optimizer = self.optimizer.stateless_apply(of_optimizer, gradients, weights)
            return {self.key: loss}, (weights, others, of_optimizer, metrics)

    def own(key):
        model = Own([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
        model.key = key
        model.compile(optimizer=keras.optimizers.SGD(0.5))
        return model

    def observed(key, control):
        rows = Heard()
        steps, _, _ = run(lr.keras.Follow(BASE, control=[control]), model=own(key), rows=rows, x=ONES[:4])
        return [[row.loss for row in rows.updates], [row.gradient_norm for row in rows.updates], steps.weights]

    def refused(**arguments):
        return caught(lambda: lr.keras.Follow(BASE, **arguments))

    return {
        "returned": observed("loss", norms()),
        "none": caught(lambda: observed("score", halve(2))),
        "no controller": refused(control=[3]),
        "class": refused(control=halve),
        "no path": refused(record=3),
        "no page": refused(page=8080),
        "no control": caught(lambda: lr.keras.Follow(BASE).scale(0.5)),
        "early": caught(lambda: lr.keras.Follow(BASE, control=[]).scale(0.5)),
        "no factor": caught(lambda: run(asks := lr.keras.Follow(BASE, control=[]), more=[Asks(asks)], x=ONES[:2])),
    }


class Asks(keras.callbacks.Callback):
    def __init__(self, follow):
        super().__init__()
        self.follow = follow

    def on_train_batch_begin(self, batch, logs=None):
        self.follow.scale(0)
