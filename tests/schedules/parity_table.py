"""The schedulers of other libraries, and the learnrate expressions that give the same value at every update.

The rows are data. `test_parity.py` evaluates both sides over whole runs, with settings from Hypothesis, and `docs/make.py`
writes them as the page "Coming from other libraries". Both sides are texts with the same named settings, so the page shows
the expressions that are tested.
"""

from parity_keras import KERAS
from parity_optax import OPTAX
from parity_timm import TIMM
from parity_torch import TORCH
from parity_transformers import TRANSFORMERS

TABLE = {"torch": TORCH, "optax": OPTAX, "Keras": KERAS, "timm": TIMM, "Transformers": TRANSFORMERS}

REACTING = {
    "torch": {"ReduceLROnPlateau"},
    "timm": {"PlateauLRScheduler"},
    "Transformers": {"reduce_lr_on_plateau", "greedy"},
}
"""Schedulers that react to the loss are not functions of the update count, so they are not in the table."""

DOCUMENTED = {
    "fastai": {
        "fit_one_cycle(epochs, max_lr)  # fastai 1": "one_cycle.fastai_v1(max_lr, length)",
        "fit_one_cycle(n_epoch, lr_max)  # fastai 2": "one_cycle.fastai_v2(lr_max, length)",
        "SchedLin(start, end), SchedCos(start, end)": "linear(start, end, length), cosine(start, end, length)",
        "SchedExp(start, end)": "exponential(start, end, length)",
        "combine_scheds([0.3, 0.7], [a, b])": "a >> b",
    },
    "Caffe": {
        'lr_policy: "fixed"': "constant(base_lr)",
        'lr_policy: "step"': "step_decay(base_lr, gamma, every=stepsize)",
        'lr_policy: "exp"': "exponential_decay(base_lr, gamma)",
        'lr_policy: "inv"': "inverse_time(base_lr, gamma, power)",
        'lr_policy: "multistep"': "multistep(base_lr, gamma, stepvalue)",
        'lr_policy: "poly"': "polynomial(base_lr, 0, max_iter, power)",
        'lr_policy: "sigmoid"': "sigmoid_decay(base_lr, -gamma, midpoint=stepsize)",
    },
}
"""Libraries that the tests do not install. `test_golden.py` has their formulas."""
