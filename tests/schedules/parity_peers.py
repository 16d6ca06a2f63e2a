"""The other libraries: for each, a function that gives the values of one of its schedules, update by update."""

import importlib.util
import os
import sys
import types
import warnings

import numpy as np
import torch

# The NumPy backend of Keras always computes in float32.
os.environ["KERAS_BACKEND"] = "torch"


def sgd(settings):
    """An optimizer with the LR of the settings."""
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=settings.get("lr", 0.1), momentum=0.9)


def stepped(optimizer, scheduler, updates, key="lr"):
    """The values that a scheduler with `step()` sets."""
    values = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # deprecations inside torch
        for _ in range(updates + 1):
            values.append(float(optimizer.param_groups[0][key]))
            optimizer.step()
            if len(values) <= updates:
                scheduler.step()
    return np.array(values)


def torch_values(row, settings, updates):
    optimizer = sgd(settings)
    names = {**vars(torch.optim.lr_scheduler), "optimizer": optimizer, **settings}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        scheduler = eval(row.theirs, names)
    return stepped(optimizer, scheduler, updates, "momentum" if row.momentum else "lr")


def optax_values(row, settings, updates):
    import jax
    import optax

    with jax.enable_x64(True):
        schedule = eval(row.theirs, {**vars(optax), **vars(optax.schedules), **settings})
        counts = jax.numpy.arange(updates + 1)
        return np.broadcast_to(np.asarray(jax.vmap(schedule)(counts)), updates + 1)


def keras_values(row, settings, updates):
    import keras

    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    try:
        schedule = eval(row.theirs, {**vars(keras.optimizers.schedules), **settings})
        return np.array([float(schedule(n)) for n in range(updates + 1)])
    finally:
        keras.config.set_floatx(before)


def timm_scheduler():
    """The schedulers of timm, without `timm/__init__.py`, which imports torchvision."""
    if "timm" not in sys.modules:
        package = types.ModuleType("timm")
        package.__path__ = list(importlib.util.find_spec("timm").submodule_search_locations)
        sys.modules["timm"] = package
    return importlib.import_module("timm.scheduler")


def timm_values(row, settings, updates):
    optimizer = sgd(settings)
    call = row.theirs.removesuffix(")") + ", t_in_epochs=False)"
    scheduler = eval(call, {**vars(timm_scheduler()), "optimizer": optimizer, **settings})
    values = []
    for n in range(updates + 1):
        scheduler.step_update(n)
        values.append(optimizer.param_groups[0]["lr"])
    return np.array(values)


def transformers_values(row, settings, updates):
    from transformers import get_scheduler

    optimizer = sgd(settings)
    scheduler = eval(row.theirs, {"get_scheduler": get_scheduler, "optimizer": optimizer, **settings})
    return stepped(optimizer, scheduler, updates)


VALUES = {
    "torch": torch_values,
    "optax": optax_values,
    "Keras": keras_values,
    "timm": timm_values,
    "Transformers": transformers_values,
}


def names():
    """The names of the schedulers of each library."""
    import keras
    import optax.schedules
    from transformers import SchedulerType

    return {
        "torch": set(torch.optim.lr_scheduler.__all__) - {"LRScheduler"},
        "optax": {n for n in vars(optax.schedules) if n[0] != "_" and n.endswith(("_schedule", "_schedules", "_decay"))},
        "Keras": {n for n in dir(keras.optimizers.schedules) if n[0].isupper()} - {"LearningRateSchedule"},
        "timm": {n for n in vars(timm_scheduler()) if n.endswith("LRScheduler")},
        "Transformers": {kind.value for kind in SchedulerType},
    }
