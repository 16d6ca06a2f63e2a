"""What happens on one backend of Keras, told as facts: `scenarios.py BACKEND FOLDER` writes them to FOLDER/BACKEND.json.

Keras takes its backend when it is imported, so each backend has a process of its own, which test_keras.py starts once.
"""

import contextlib
import csv
import hashlib
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import time
import traceback
import warnings
from pathlib import Path

BACKEND, FOLDER = sys.argv[1], Path(sys.argv[2])
os.environ["KERAS_BACKEND"] = BACKEND
warnings.simplefilter("error")
# Keras and torch themselves, with NumPy 2 and torch 2.13.
warnings.filterwarnings("ignore", "__array__ implementation doesn't accept a copy keyword", DeprecationWarning)
warnings.filterwarnings("ignore", "`torch.jit.script_method` is deprecated", DeprecationWarning)

import keras  # noqa: E402
import numpy as np  # noqa: E402

import learnrate as lr  # noqa: E402

if BACKEND == "torch":
    import torch

    torch.set_num_threads(1)
else:
    import jax

    jax.config.update("jax_disable_most_optimizations", True)  # it compiles for longer than it runs

SCHEDULE = lr.warmup(0.1, 4) >> lr.cosine(0.1, 0.0, 20)
SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


# A line: its weight falls by exactly the LR at each update of SGD.


@keras.saving.register_keras_serializable(package="tests")
def mean_output(y, outputs):
    return keras.ops.mean(outputs)


ONES = np.ones((24, 1), dtype="float32")


def line(optimizer, **options):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    model.compile(optimizer=optimizer, loss=mean_output, **options)
    return model


class Steps(keras.callbacks.Callback):
    """The LR that each batch really used: the difference that it made to the weight; and the LR that stands there."""

    def __init__(self, stop_at=None, at_batch=None):
        super().__init__()
        self.weights, self.lrs, self.stop_at, self.at_batch = [0.0], [], stop_at, at_batch

    def on_train_begin(self, logs=None):
        self.weights = [self.weight()]

    def weight(self):
        return float(self.model.get_weights()[0][0, 0])

    def on_train_batch_end(self, batch, logs=None):
        self.weights.append(self.weight())
        self.lrs.append(float(self.model.optimizer.learning_rate))
        if self.at_batch:
            self.at_batch(self.model, len(self.lrs))
        if len(self.lrs) == self.stop_at:
            self.model.stop_training = True

    @property
    def used(self):
        return [before - after for before, after in zip(self.weights, self.weights[1:], strict=False)]


def fit(model, *callbacks, x=ONES, epochs=1, steps=None, **options):
    steps = steps or Steps()
    history = model.fit(
        x, x, batch_size=1, epochs=epochs, verbose=0, shuffle=False, callbacks=[*callbacks, steps], **options
    )
    return steps, history.history


def caught(function):
    """The error of a call, as its class and text, or None."""
    try:
        function()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def warned(function):
    """What a call returns, and its warnings."""
    with warnings.catch_warnings(record=True) as issued:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        returned = function()
    return returned, [f"{issue.category.__name__}: {issue.message}" for issue in issued]


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
    """On torch, jit_compile=True: torch's compiler sees the schedule. Its backend "eager" traces alike, and builds nothing."""
    if BACKEND != "torch":
        return {}
    compile_with, torch.compile = torch.compile, lambda function: compile_with(function, backend="eager")
    try:
        model = line(keras.optimizers.SGD(lr.keras.Schedule(SCHEDULE), gradient_accumulation_steps=2), jit_compile=True)
        (steps, _), issued = warned(lambda: fit(model, x=ONES[:2]))
    finally:
        torch.compile = compile_with
    ours = [text for text in issued if "learnrate" in text or "lru_cache" in text or "array_api" in text]
    return {"used": steps.used, "warnings": ours}


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


def loaded():
    """What goes on from a saved model; also in a process of its own, which has to import the class of the schedule."""
    import learnrate.keras  # noqa: F401

    return {"used": fit(keras.models.load_model(FOLDER / f"{BACKEND}.keras"), x=ONES[:8])[0].used}


@scenario
def saved():
    """Saved in the middle of a run, at an odd batch of an update, and loaded: here, and in a fresh process."""
    model = line(keras.optimizers.SGD(lr.keras.Schedule(SCHEDULE), gradient_accumulation_steps=2))
    fit(model, x=ONES[:11])
    model.save(FOLDER / f"{BACKEND}.keras")
    facts = {"goes on": fit(model, x=ONES[:8])[0].used, "here": loaded()["used"]}
    subprocess.run([sys.executable, __file__, BACKEND, str(FOLDER), "loaded"], check=True)
    facts["fresh"] = json.loads((FOLDER / f"{BACKEND}.json").read_text())["loaded"]["used"]
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
    facts["again"] = fit(model, lr.keras.Follow(lr.constant(0.125)), x=ONES[:4])[0].used
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


# A small network, for range test and tuning.

RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.standard_normal((256, 6)).astype("float32")
TARGETS = (INPUTS[:, :3].sum(1) > 0).astype("int32")


def network(optimizer=None, **options):
    keras.utils.set_random_seed(0)
    layers = [
        keras.Input((6,)),
        keras.layers.Dense(16),
        keras.layers.BatchNormalization(),
        keras.layers.ReLU(),
        keras.layers.Dropout(0.1),
        keras.layers.Dense(2),
    ]
    model = keras.Sequential(layers)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=optimizer or keras.optimizers.Adam(0.003), loss=loss, metrics=["accuracy"], **options)
    return model


def small(optimizer=None):
    """Without batch norm and dropout, which take JAX long to compile."""
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(2)])
    model.compile(
        optimizer=optimizer or keras.optimizers.Adam(0.003),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def trained(optimizer=None, build=network):
    model = build(optimizer)
    model.fit(INPUTS[:64], TARGETS[:64], batch_size=32, epochs=1, verbose=0)
    return model


def digest(model):
    """Everything that training changes, as one number."""
    state = hashlib.sha256()
    for variable in [*model.variables, *model.optimizer.variables, *model.metrics_variables]:
        state.update(keras.ops.convert_to_numpy(variable.value).tobytes())
    state.update(pickle.dumps((random.getstate(), np.random.get_state(), model.stop_training)))
    state.update(keras.ops.convert_to_numpy(keras.random.SeedGenerator(1).next()).tobytes())
    if BACKEND == "torch":
        state.update(torch.get_rng_state().numpy().tobytes())
        modes = [module.training for module in model.modules()]
        gradients = [None if p.grad is None else p.grad.numpy().tobytes() for p in model.parameters()]
        state.update(pickle.dumps((modes, gradients)))
    state.update(pickle.dumps(type(model.optimizer._learning_rate).__name__))
    return state.hexdigest()


def given_back(model, function):
    """Whether a call changed nothing, with what it raised or returned."""
    before = digest(model)
    try:
        returned = function()
    except (Exception, KeyboardInterrupt) as error:
        returned = f"{type(error).__name__}: {error}"
    return digest(model) == before, returned


def interrupt_at(number):
    def progress(*arguments):
        if arguments[-2] == number:
            signal.raise_signal(signal.SIGINT)

    return progress


DATA = INPUTS, TARGETS


@scenario
def range_test():
    twin, facts = trained(), {}
    without = twin.fit(INPUTS, TARGETS, batch_size=32, verbose=0, shuffle=False).history["loss"]
    # A LR that is a number, and one that is a schedule, which nobody can assign.
    for name, rate in {"number": 0.003, "schedule": lr.keras.Schedule(lr.constant(0.003))}.items():
        model = trained(keras.optimizers.Adam(rate))
        source = model.optimizer._learning_rate
        same, curve = given_back(model, lambda m=model: lr.keras.range_test(m, DATA, updates=60, high=100.0, seed=3))
        curve = (
            curve if isinstance(curve, str) else [len(curve), curve.lrs[0], float(curve.losses[0]), curve.bounds().max_lr]
        )
        facts[name] = {"same": same, "curve": curve, "source": model.optimizer._learning_rate is source}
        after = model.fit(INPUTS, TARGETS, batch_size=32, verbose=0, shuffle=False).history["loss"]
        facts[name]["goes on"] = [after, without]
    same, curve = given_back(model, lambda: lr.keras.range_test(model, DATA, updates=40, progress=interrupt_at(20)))
    facts["interrupted"] = [same, curve if isinstance(curve, str) else [curve.ended, len(curve)]]

    def fails(model):
        raise ZeroDivisionError("a bug in evaluate")

    facts["failed"] = given_back(model, lambda: lr.keras.range_test(model, DATA, updates=20, evaluate=fails))
    held_out = INPUTS[:32], TARGETS[:32]
    same, curve = given_back(
        model, lambda: lr.keras.range_test(model, DATA, updates=20, validation_data=held_out, evaluate_every=10)
    )
    facts["evaluated"] = [same, curve if isinstance(curve, str) else sorted(curve.metrics)]
    line_model = line(keras.optimizers.SGD(0.5, gradient_accumulation_steps=2))
    lrs = []
    line_model.optimizer.build(line_model.trainable_variables)

    def weight(model):
        lrs.append(-float(model.get_weights()[0][0, 0]))
        return 0.0

    curve = lr.keras.range_test(
        line_model, (ONES, ONES), batch_size=1, low=0.01, high=0.1, updates=10, schedule="linear", evaluate=weight, stop=None
    )
    facts["accumulated"] = {"used": np.diff(lrs).tolist(), "expected": curve.lrs.tolist()}
    return facts


@scenario
def sources():
    """Other forms of data, and a model that is not built."""

    class Dataset(keras.utils.PyDataset):
        epochs = 0

        def __len__(self):
            return 8

        def __getitem__(self, index):
            part = slice(32 * index, 32 * index + 32)
            return INPUTS[part], TARGETS[part], np.ones(32, "float32")

        def on_epoch_end(self):
            self.epochs += 1

    import torch
    from torch.utils.data import DataLoader, TensorDataset

    generator = torch.Generator().manual_seed(0)
    loader = DataLoader(
        TensorDataset(torch.tensor(INPUTS), torch.tensor(TARGETS)), batch_size=32, shuffle=True, generator=generator
    )
    batches = [(INPUTS[i : i + 32], TARGETS[i : i + 32]) for i in range(0, 256, 32)]
    dataset = Dataset()
    model, facts = trained(build=small), {}
    for name, data in {"dataset": dataset, "loader": loader, "list": batches, "function": lambda: iter(batches)}.items():
        same, curve = given_back(model, lambda d=data: lr.keras.range_test(model, d, updates=12))
        facts[name] = [same, curve if isinstance(curve, str) else curve.updates_per_epoch]
    facts["epochs"] = dataset.epochs
    facts["generator"] = bool(torch.equal(generator.get_state(), torch.Generator().manual_seed(0).get_state()))
    curve = lr.keras.range_test(model, DATA, updates=12, class_weight={0: 1.0, 1: 0.0}, seed=1)
    plain = lr.keras.range_test(model, DATA, updates=12, seed=1)
    facts["class weights"] = [float(curve.losses[0]), float(plain.losses[0])]
    unbuilt = keras.Sequential([keras.layers.Dense(2)])
    unbuilt.compile(optimizer="sgd", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    facts["unbuilt"] = len(lr.keras.range_test(unbuilt, DATA, updates=12))

    class Own(keras.Sequential):
        def train_step(self, *arguments):
            returned = super().train_step(*arguments)
            if BACKEND == "jax":
                return {"loss": returned[0]["loss"], "twice": 2 * returned[0]["loss"]}, returned[1]
            return {"loss": returned["loss"], "twice": 2 * returned["loss"]}

    own = Own([keras.Input((6,)), keras.layers.Dense(2)])
    own.compile(optimizer="sgd", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    curve = lr.keras.range_test(own, DATA, updates=12)
    facts["own step"] = float(curve.metrics["twice"][3] / curve.losses[3])
    return facts


@scenario
def tune():
    model, texts = trained(build=small), []
    before = [w.tobytes() for w in model.get_weights()]
    plan = lr.keras.tune(model, DATA, epochs=50, batch_size=32, budget="25%", report=texts.append)
    start = int(model.optimizer.iterations)
    facts = {
        "updates": plan.updates,
        "spent": plan.spent,
        "max_lr": plan.max_lr,
        "text": texts,
        "weights": before == [w.tobytes() for w in model.get_weights()],
        "start": start,
    }

    class Recorded(keras.callbacks.Callback):
        lrs = []  # noqa: RUF012 - one run

        def on_train_batch_begin(self, batch, logs=None):
            self.lrs.append(float(self.model.optimizer.learning_rate))

    model.fit(INPUTS, TARGETS, batch_size=32, epochs=2, verbose=0, callbacks=[Recorded()])
    facts["used"], facts["expected"] = Recorded.lrs, [plan.schedule(n) for n in range(16)]
    model.save(FOLDER / f"{BACKEND}-tuned.keras")
    loaded = keras.models.load_model(FOLDER / f"{BACKEND}-tuned.keras")
    facts["loaded"] = [float(loaded.optimizer.learning_rate), plan.schedule(16)]
    second = lr.keras.tune(model, DATA, updates=400, budget="25%", validation_data=(INPUTS, TARGETS), report=texts.append)
    facts["second"] = second is not None
    facts["named"] = repr(plan.schedule.shift(start))

    # At such LRs nothing is learned.
    hopeless = trained(build=small)
    arguments = {"updates": 200, "budget": "25%", "low": 1e-9, "high": 1e-8, "report": texts.append}
    same, returned = given_back(hopeless, lambda: lr.keras.tune(hopeless, DATA, **arguments))
    facts["no answer"] = [same, returned if isinstance(returned, str) else returned is None, texts[-1]]
    facts["required"] = caught(lambda: lr.keras.tune(hopeless, DATA, require=True, **arguments))
    model = trained(build=small)
    facts["interrupted"] = given_back(
        model, lambda: lr.keras.tune(model, DATA, updates=400, progress=interrupt_at(30), report=texts.append)
    )
    return facts


@scenario
def refusals():
    model, empty = small(), np.zeros((0, 6), "float32")
    fresh = keras.Sequential([keras.Input((6,)), keras.layers.Dense(2)])
    nan = INPUTS * np.nan

    def of(data=DATA, function=lr.keras.range_test, using=model, **arguments):
        return caught(lambda: function(using, data, **arguments))

    frozen = small()
    for layer in frozen.layers:
        layer.trainable = False
    frozen.compile(optimizer="sgd", loss=model.loss)
    return {
        "not compiled": of(using=fresh),
        "no model": of(using=3),
        "class": of(using=keras.Sequential),
        "empty": of((empty, TARGETS[:0])),
        "lengths": of((INPUTS, TARGETS[:5])),
        "no data": of(5),
        "iterator": of(iter([DATA])),
        "empty list": of([]),
        "batch size": of(batch_size=0),
        "batch size of batches": of([DATA], batch_size=5),
        "nan": of((nan, TARGETS), updates=20),
        "frozen": of(using=frozen),
        "both lengths": of(function=lr.keras.tune, updates=100, epochs=1),
        "no length": of(function=lr.keras.tune),
        "misspelt": of(function=lr.keras.tune, update=100),
        "misspelt family": of(function=lr.keras.tune, updates=400, family="onecycle"),
        "unknown epoch": of(lambda: iter([DATA]), function=lr.keras.tune, epochs=3),
        "two evaluations": of(evaluate=lambda model: 1.0, validation_data=DATA),
        "evaluate": of(evaluate=3),
        "validation data": of(validation_data=5),
        "report": of(function=lr.keras.tune, updates=100, report="yes"),
        "seed": of(seed=-1),
        "class weight": of(class_weight=3),
    }


@scenario
def recipe():
    made = lr.keras.Recipe(
        model=small, data=lambda: DATA, evaluate=(INPUTS[:64], TARGETS[:64]), updates=300, batch_size=32, metric="fit"
    )
    from learnrate.recipes.recipe import Recipe

    first, second = (lr.range_test(made.trainable(seed=5), updates=20, evaluate_every=20) for _ in range(2))
    other = lr.range_test(made.trainable(seed=6), updates=20)
    return {
        "protocol": isinstance(made, Recipe),
        "same": first.losses.tolist() == second.losses.tolist(),
        "other": first.losses.tolist() == other.losses.tolist(),
        "metrics": sorted(first.metrics),
        "model": caught(lambda: lr.keras.Recipe(model=small(), data=lambda: DATA)),
        "updates": caught(lambda: lr.keras.Recipe(model=small, data=lambda: DATA, updates=0)),
        "broken": caught(lambda: lr.keras.Recipe(model=lambda: 1 / 0, data=lambda: DATA).trainable(seed=0)),
    }


def main():
    chosen = sys.argv[3:] or SCENARIOS
    facts = {}
    for name in chosen:
        began = time.process_time()
        try:
            facts[name] = (SCENARIOS | {"loaded": loaded})[name]()
        except BaseException:
            facts[name] = {"failed": traceback.format_exc()}
        facts[name]["seconds"] = round(time.process_time() - began, 1)
    (FOLDER / f"{BACKEND}.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main()
