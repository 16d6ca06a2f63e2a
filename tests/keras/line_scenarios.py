"""Scenarios of schedules and of the callback, on a line."""

import contextlib
import csv
import os
import random

import keras
import numpy as np
from reporting import BACKEND, CALLS, FOLDER, ONES, SCHEDULE, Steps, afterwards, caught, fit, line, scenario, warned

import learnrate as lr

if BACKEND == "torch":
    import torch


@scenario
def schedule():
    facts = {"expected": [SCHEDULE(n) for n in range(24)]}
    for name, options in {"compiled": {}, "eager": {"run_eagerly": True}}.items():
        steps, _ = fit(line(keras.optimizers.SGD(lr.keras.Schedule(SCHEDULE)), **options))
        facts[name] = steps.used
    if BACKEND == "jax":
        steps, _ = fit(line(keras.optimizers.SGD(lr.keras.Schedule(SCHEDULE)), steps_per_execution=4))
        facts["blocks"] = steps.used
    facts["text"] = lr.keras.Schedule(repr(SCHEDULE)).schedule == SCHEDULE
    facts["own call"] = float(lr.keras.Schedule(SCHEDULE)(3))
    facts["unresolved"] = caught(lambda: lr.keras.Schedule(lr.warmup(0.1, "5%")))
    facts["wrong type"] = caught(lambda: lr.keras.Schedule(0.1))
    facts["wrong text"] = caught(lambda: lr.keras.Schedule("cosin(0.1, 0, 10)"))
    return facts


@scenario
def torch_compiler():
    """On torch, jit_compile=True: torch's compiler sees the schedule. Its backend "eager" traces alike, and builds nothing.

    The loss is not traced, because that takes longer than the optimizer with the schedule, and holds nothing of learnrate.
    """
    if BACKEND != "torch":
        return {}
    compile_with, torch.compile = torch.compile, lambda function: compile_with(function, backend="eager")
    called, traced = lr.keras.Schedule.__call__, []

    def call(schedule, step):
        traced.append(torch.compiler.is_compiling())
        return called(schedule, step)

    lr.keras.Schedule.__call__ = call
    try:
        model = line(keras.optimizers.SGD(lr.keras.Schedule(SCHEDULE), gradient_accumulation_steps=2), jit_compile=True)
        model._loss_tracker.update_state = torch.compiler.disable(model._loss_tracker.update_state)
        model.compute_loss = torch.compiler.disable(model.compute_loss)
        model.call = torch.compiler.disable(model.call)
        (steps, _), issued = warned(lambda: fit(model, x=ONES[:2]))
    finally:
        torch.compile, lr.keras.Schedule.__call__ = compile_with, called
    ours = [text for text in issued if any(part in text for part in ("getframe", "learnrate", "lru_cache", "array_api"))]
    return {"used": steps.used, "warnings": ours, "traced": traced}


@scenario
def accumulation():
    def used(schedule, *callbacks):
        model = line(keras.optimizers.SGD(schedule, gradient_accumulation_steps=2))
        return fit(model, *callbacks)[0].used

    plain = keras.optimizers.schedules.PolynomialDecay(0.1, 12, 0.0)
    return {
        "schedule": used(lr.keras.Schedule(SCHEDULE)),
        "given": used(lr.keras.Schedule(SCHEDULE, accumulation=2)),
        "follow": used(0.5, lr.keras.Follow(SCHEDULE)),
        "percent": used(0.5, lr.keras.Follow(lr.linear(0.12, 0.0, "100%"))),
        "of Keras": used(plain),
        "disagreement": caught(lambda: used(lr.keras.Schedule(SCHEDULE, accumulation=3))),
        "disagreement of follow": caught(lambda: used(0.5, lr.keras.Follow(SCHEDULE, accumulation=1))),
        "not whole": caught(lambda: lr.keras.Schedule(SCHEDULE, accumulation=1.5)),
    }


@afterwards
def loaded():
    """What goes on from a saved model; also in a fresh process, which has to import the class of the schedule."""
    import learnrate.keras  # noqa: F401

    return {"used": fit(keras.models.load_model(FOLDER / f"{BACKEND}.keras"), x=ONES[:8])[0].used}


@scenario
def saved():
    """Saved in the middle of a run, at an odd batch of an update, and loaded: here, and in a fresh process."""
    model = line(keras.optimizers.SGD(lr.keras.Schedule(SCHEDULE), gradient_accumulation_steps=2))
    fit(model, x=ONES[:11])
    model.save(FOLDER / f"{BACKEND}.keras")
    facts = {"goes on": fit(model, x=ONES[:8])[0].used, "here": loaded()["used"]}
    custom = lr.keras.Schedule(lr.function(np.sqrt))
    facts["function"] = caught(custom.get_config)
    return facts


@scenario
def follow():
    percent = lr.warmup(0.1, "25%") >> lr.cosine(0.1, 0.0)
    log = FOLDER / f"{BACKEND}.csv"
    model = line(keras.optimizers.SGD(0.5))
    before = model.train_function
    steps, history = fit(model, lr.keras.Follow(percent), keras.callbacks.CSVLogger(log), x=ONES[:8], epochs=3)
    expected = percent.resolve(24)
    epochs = lr.linear(0.3, 0.0, "2 epochs") >> lr.constant(0.4)
    facts = {
        "expected": [expected(n) for n in range(24)],
        "used": steps.used,
        "history": history["learning_rate"],
        "logged": [float(row["learning_rate"]) for row in csv.DictReader(log.read_text().splitlines())],
        "epochs": fit(line(keras.optimizers.SGD(0.5)), lr.keras.Follow(epochs), x=ONES[:4], epochs=3)[0].used,
        "text": fit(line(keras.optimizers.SGD(0.5)), lr.keras.Follow(repr(SCHEDULE)), x=ONES[:4])[0].used,
    }
    _, facts["past the end"] = warned(
        lambda: fit(line(keras.optimizers.SGD(0.5)), lr.keras.Follow(lr.linear(0.1, 0.0, 3)), x=ONES[:8], epochs=2)
    )
    after, _ = fit(model, x=ONES[:2])  # without the callback: the LR stays where it was
    facts["without"] = after.lrs
    facts["before"] = before is None
    if BACKEND == "jax":
        blocks = line(keras.optimizers.SGD(0.5), steps_per_execution=4)
        facts["blocks"] = fit(blocks, lr.keras.Follow(SCHEDULE))[0].used
    return facts


@scenario
def aborted():
    """An exception in fit, and then a fit without the callback, which must not be driven any more."""

    class Fails(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                raise ZeroDivisionError

    model = line(keras.optimizers.SGD(0.5))
    with contextlib.suppress(ZeroDivisionError):
        fit(model, lr.keras.Follow(SCHEDULE), Fails(), x=ONES[:8])
    model.optimizer.learning_rate = 0.25
    facts = {"alone": fit(model, x=ONES[:4])[0].used}
    following = lr.keras.Follow(lr.constant(0.125))
    facts["again"] = fit(model, following, x=ONES[:4])[0].used
    CALLS.clear()
    facts["third"] = fit(model, following, x=ONES[:4])[0].used
    facts["compilations"] = len(CALLS)
    model.compile(optimizer=model.optimizer, loss=lambda y, outputs: 2 * keras.ops.mean(outputs))
    facts["other loss"] = fit(model, following, x=ONES[:4])[0].used
    return facts


@scenario
def hyper_parameters():
    momentum, lrs = lr.linear(0.5, 0.9, 8), lr.linear(0.1, 0.2, 8)
    velocity, expected = 0.0, []
    for n in range(8):
        velocity = momentum(n) * velocity - lrs(n)
        expected.append(-velocity)
    model = line(keras.optimizers.SGD(0.5, momentum=0.7))
    steps, history = fit(model, lr.keras.Follow(lrs, momentum=momentum), x=ONES[:8])
    facts = {"expected": expected, "used": steps.used, "history": history["momentum"], "left": model.optimizer.momentum}
    # With a constant gradient of 1 the mean of Adam is 1 - the product of its decays, and Keras corrects it by the last decay.
    decay, beta, weight, product, decayed = lr.linear(0.1, 0.5, 8), lr.linear(0.5, 0.9, 8), 1.0, 1.0, []
    for n in range(8):
        product *= beta(n)
        weight = weight * (1 - decay(n) * 0.1) - 0.1 * (1 - product) / (1 - beta(n) ** (n + 1))
        decayed.append(weight)
    adam = line(keras.optimizers.AdamW(0.5, weight_decay=0.3))
    adam.set_weights([np.ones((1, 1), "float32")])
    steps, _ = fit(adam, lr.keras.Follow(lr.constant(0.1), weight_decay=decay, beta_1=beta), x=ONES[:8])
    facts |= {"decayed": decayed, "weights": steps.weights[1:]}

    def refused(optimizer, **scheduled):
        return caught(lambda: fit(line(optimizer), lr.keras.Follow(lr.constant(0.1), **scheduled), x=ONES[:2]))

    facts["misspelt"] = refused(keras.optimizers.SGD(0.5, momentum=0.7), momentun=lr.constant(0.9))
    facts["off"] = refused(keras.optimizers.SGD(0.5), momentum=lr.constant(0.9))
    return facts


@scenario
def two_owners():
    class Assigns(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 3:
                self.model.optimizer.learning_rate = 0.7

    owners = {
        "plateau": keras.callbacks.ReduceLROnPlateau(monitor="loss", patience=0, min_delta=10.0, cooldown=0),
        "scheduler": keras.callbacks.LearningRateScheduler(lambda epoch: 0.7),
        "assignment": Assigns(),
    }
    facts = {"expected": [SCHEDULE(n) for n in range(24)]}
    for name, owner in owners.items():
        model = line(keras.optimizers.SGD(0.5))
        (steps, _), issued = warned(lambda m=model, o=owner: fit(m, lr.keras.Follow(SCHEDULE), o, x=ONES[:8], epochs=3))
        facts[name] = {"used": steps.used, "warnings": issued}
    compiled = line(keras.optimizers.SGD(lr.keras.Schedule(lr.constant(0.3))))
    facts["compiled with ours"] = caught(lambda: fit(compiled, lr.keras.Follow(SCHEDULE), x=ONES[:2]))
    of_keras = line(keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 10)))
    facts["compiled with theirs"] = caught(lambda: fit(of_keras, lr.keras.Follow(SCHEDULE), x=ONES[:2]))
    two = lr.keras.Follow(SCHEDULE), lr.keras.Follow(lr.constant(0.3))
    facts["two callbacks"] = caught(lambda: fit(line(keras.optimizers.SGD(0.5)), *two, x=ONES[:2]))
    facts["scheduler on a schedule"] = caught(lambda: fit(compiled, owners["scheduler"], x=ONES[:2]))
    return facts


@scenario
def resumed():
    """Stopped at a random update, saved, loaded, gone on: against the run without a stop."""
    facts = {}
    stop = random.Random(int(os.environ.get("LEARNRATE_SEED", "7"))).randrange(2, 22)
    facts["stop"] = stop

    def optimizer(rate):
        return keras.optimizers.Adam(rate)

    def callbacks(rate):
        return [lr.keras.Follow(SCHEDULE)] if rate == 0.5 else []

    for name, rate in {"schedule": None, "follow": 0.5}.items():

        def new(given=rate):
            return line(optimizer(lr.keras.Schedule(SCHEDULE) if given is None else given))

        through, _ = fit(new(), *callbacks(rate))
        first = new()
        before, _ = fit(first, *callbacks(rate), steps=Steps(stop_at=stop))
        first.save(FOLDER / f"{BACKEND}-{name}.keras")
        second = keras.models.load_model(FOLDER / f"{BACKEND}-{name}.keras")
        after, _ = fit(second, *callbacks(rate), x=ONES[: 24 - stop])
        facts[name] = {
            "through": through.lrs,
            "resumed": before.lrs + after.lrs,
            "same weights": through.weights[1:] == before.weights[1:] + after.weights[1:],
        }
    return facts


@scenario
def backup():
    """BackupAndRestore, in the middle of the callbacks; and a state file that notices another schedule."""

    class Fails(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise ZeroDivisionError

    def run(*callbacks, **arguments):
        following = lr.keras.Follow(
            arguments.pop("schedule", SCHEDULE), state_file=FOLDER / BACKEND / "state.json", **arguments
        )
        restore = keras.callbacks.BackupAndRestore(str(FOLDER / f"backup-{BACKEND}"), delete_checkpoint=False)
        return fit(line(keras.optimizers.Adam(0.5)), following, restore, *callbacks, x=ONES[:8], epochs=3)[0]

    with contextlib.suppress(ZeroDivisionError):
        run(Fails())
    other = lr.warmup(0.1, 4) >> lr.cosine(0.1, 0.0, 44)
    facts = {"other": caught(lambda: run(schedule=other))}
    state = FOLDER / BACKEND / "state.json"
    text = state.read_text()
    state.write_text("[1]")
    facts["broken"] = caught(run)
    state.write_text(text)
    kept, facts["kept"] = warned(lambda: run(schedule=other, on_change="keep"))
    facts["rest"] = kept.lrs
    facts["expected"] = [SCHEDULE(n) for n in range(16, 24)]
    return facts


@scenario
def skipped():
    """A gradient that is not finite: a LossScaleOptimizer skips the update, and the schedule does not go on."""
    x = ONES[:8].copy()
    x[3] = np.inf
    facts = {"expected": [SCHEDULE(n) for n in range(8)]}
    for name, rate in {"schedule": lr.keras.Schedule(SCHEDULE), "follow": 0.5}.items():
        model = line(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(rate), initial_scale=2.0))
        following = [lr.keras.Follow(SCHEDULE)] if rate == 0.5 else []
        facts[name] = fit(model, *following, x=x)[0].used
    return facts
