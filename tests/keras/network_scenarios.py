"""Scenarios of range test and tuning, on small networks."""

import hashlib
import pickle
import random
import signal

import keras
import numpy as np
from reporting import BACKEND, FOLDER, ONES, caught, line, scenario

import learnrate as lr

if BACKEND == "torch":
    import torch

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
    scheduled = trained(keras.optimizers.Adam(lr.keras.Schedule(lr.constant(0.003))), build=small)
    second = lr.keras.tune(scheduled, DATA, updates=400, budget="25%", validation_data=DATA, report=texts.append)
    facts["second"] = second is not None
    facts["named"] = "constant(value=0.003)"

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
        "list of arrays": of([INPUTS, TARGETS]),
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
    keras_recipe = lr.keras.Recipe(
        model=small, data=lambda: DATA, evaluate=(INPUTS[:64], TARGETS[:64]), updates=300, batch_size=32, metric="fit"
    )
    from learnrate.recipes.recipe import AnyRecipe

    first, second = (lr.range_test(keras_recipe.trainable(seed=5), updates=20, evaluate_every=20) for _ in range(2))
    other = lr.range_test(keras_recipe.trainable(seed=6), updates=20)
    return {
        "protocol": isinstance(keras_recipe, AnyRecipe),
        "same": first.losses.tolist() == second.losses.tolist(),
        "other": first.losses.tolist() == other.losses.tolist(),
        "metrics": sorted(first.metrics),
        "model": caught(lambda: lr.keras.Recipe(model=small(), data=lambda: DATA)),
        "updates": caught(lambda: lr.keras.Recipe(model=small, data=lambda: DATA, updates=0)),
        "broken": caught(lambda: lr.keras.Recipe(model=lambda: 1 / 0, data=lambda: DATA).trainable(seed=0)),
    }
