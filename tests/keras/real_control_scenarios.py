"""The controllers of learnrate in Keras: composed and resumed, a batch at fault, a run that is given up, the live page."""

import random
import threading

import keras
import numpy as np
from control_scenarios import Hand, equal, events_of
from reporting import BACKEND, FOLDER, ONES, Steps, caught, fit, line, scenario, warned

import learnrate as lr
from learnrate.control import Scale, Undo, guard, plateau
from live_run import Client

SCHEDULE = lr.warmup(0.1, 10) >> lr.one_cycle(max_lr=0.1, length=190)
BATCHES = 200
REQUESTS = {30: Scale(0.5), 100: Undo()}


@keras.saving.register_keras_serializable(package="tests")
def given(y, outputs):
    """The loss is the target, and the weight still falls by exactly the LR."""
    mean = keras.ops.mean(outputs)
    return keras.ops.mean(y) + mean - keras.ops.stop_gradient(mean)


def targets():
    """Losses that fall, and stall; some are not finite, and one is a spike."""
    noise = 0.02 * np.random.default_rng(0).standard_normal(BATCHES)
    losses = 1 + np.exp(-np.minimum(np.arange(BATCHES), 60) / 15) + noise
    losses[[40, 150, 151, 152]], losses[80] = np.nan, 500.0
    return losses.astype("float32")[:, None]


def model_of(optimizer):
    model = line(optimizer)
    model.compile(optimizer=optimizer, loss=given)
    return model


def train(follow, y, *, model=None, requests=None, steps=None, first=0, more=(), **options):
    model = model or model_of(keras.optimizers.SGD(0.5))
    hand, steps = Hand(follow, requests, first=first), steps or Steps()
    callbacks = [follow, hand, *more, steps]
    model.fit(np.ones_like(y), y, batch_size=1, verbose=0, shuffle=False, callbacks=callbacks, **options)
    return steps


@scenario
def real_controllers():
    """Warm-up, plateau, guard and a person over one cycle; stopped at a random update, saved, loaded, gone on."""
    y, state, stop = targets(), FOLDER / f"{BACKEND}-real.json", random.Random(31).randrange(35, BATCHES - 5)

    def follow(record, path=None):
        control = {"plateau": plateau(20), "guard": guard(every=10, recovery=40)}
        return lr.keras.Follow(SCHEDULE, control=control, record=record, state_file=path)

    through_path, path = (FOLDER / f"{BACKEND}-{name}.sqlite" for name in ("through", "resumed"))
    through = follow(through_path)
    all_steps = train(through, y, requests=REQUESTS)
    first = train(follow(path, state), y, requests=REQUESTS, steps=Steps(stop_at=stop))
    first.model.save(FOLDER / f"{BACKEND}-real.keras")
    after, loaded = follow(path, state), keras.models.load_model(FOLDER / f"{BACKEND}-real.keras")
    second = train(after, y[stop:], model=loaded, requests=REQUESTS, first=stop)
    restored = [event.evidence.get("restored") for event in through.control.events if event.kind == "rollback"]
    return {
        "updates": len(all_steps.lrs),
        "resumed": first.lrs + second.lrs == all_steps.lrs,
        "schedule": equal(through.control.schedule, all_steps.lrs),
        "resumed schedule": after.control.schedule == through.control.schedule,
        "records": [equal(lr.Record.load(file).schedule(), all_steps.lrs) for file in (through_path, path)],
        "events": [event[:3] for event in events_of(through.control)],
        "weights": all_steps.weights,
        "restored": restored,
    }


@scenario
def given_up():
    y = targets()[:100]
    for first in (60, 67, 74):
        y[first : first + 3] = np.nan
    follow, steps, model = (
        lr.keras.Follow(SCHEDULE, control=guard(every=10, tries=2)),
        Steps(),
        model_of(keras.optimizers.SGD(0.5)),
    )
    error = caught(lambda: train(follow, y, model=model, steps=steps))
    restored = [event.evidence.get("restored") for event in follow.control.events if event.kind == "rollback"]
    again = train(lr.keras.Follow(SCHEDULE, control=guard()), targets()[:5], model=model)
    return {
        "error": error,
        "updates": len(steps.lrs),
        "weights": steps.weights,
        "restored": restored,
        "again": len(again.lrs),
    }


@scenario
def batch_at_fault():
    """A batch that is not finite, through layers that remember statistics of batches; and with a loss scale."""
    x = np.random.default_rng(0).standard_normal((64, 3)).astype("float32")
    x[40] = np.nan
    facts = {}
    for name, optimizer in (
        ("plain", keras.optimizers.SGD(0.05)),
        ("scaled", keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.05), initial_scale=8.0)),
    ):
        layers = [keras.Input((3,)), keras.layers.BatchNormalization(), keras.layers.Dense(1)]
        model = keras.Sequential(layers)
        model.compile(optimizer=optimizer, loss="mse")
        follow = lr.keras.Follow(lr.constant(0.05), control=guard(every=5))
        model.fit(x, x[:, :1], batch_size=4, epochs=2, verbose=0, shuffle=False, callbacks=[follow])
        finite = all(bool(np.isfinite(weight).all()) for weight in model.get_weights())
        facts[name] = [finite, events_of(follow.control)]
    # Its loss is not finite, and its gradients are: the update is made before the control sees it.
    y = targets()[:60]
    scaled = model_of(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.05), initial_scale=8.0))
    follow = lr.keras.Follow(lr.constant(0.125), control=guard(every=10))
    steps = train(follow, y, model=scaled)
    facts["applied"] = [steps.weights[40:42], [event[:2] for event in events_of(follow.control)]]
    follow = lr.keras.Follow(SCHEDULE, control=plateau(10, monitor="val_lss"))
    _, facts["misspelt"] = warned(
        lambda: fit(line(keras.optimizers.SGD(0.5)), follow, x=ONES[:4], epochs=2, validation_data=(ONES, ONES))
    )
    return facts


@scenario
def live_page():
    follow, before = lr.keras.Follow(lr.constant(0.5), page=True), threading.active_count()
    answers, threads = [], []

    class Watcher(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 4:
                page = follow.control.listeners[0]
                client = Client(page)
                asking = threading.Thread(
                    target=lambda: answers.append([page, client.change({"kind": "scale", "factor": 0.5}).json()])
                )
                asking.start()
                threads.append(asking)
                while not follow.control.waiting():
                    asking.join(0.01)

    steps, _ = fit(line(keras.optimizers.SGD(0.5)), follow, Watcher(), x=ONES[:8])
    threads[0].join(120)
    page, answer = answers[0]
    page.stop()
    return {"lrs": steps.lrs, "answer": answer, "threads": threading.active_count() - before}
