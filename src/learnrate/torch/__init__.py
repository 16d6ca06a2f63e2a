"""learnrate for PyTorch."""

from learnrate.torch import optimizers as optimizers
from learnrate.torch.accuracy_test import accuracy_test
from learnrate.torch.driving import Attachment, Scheduler, attach
from learnrate.torch.probe import probe
from learnrate.torch.range_test import range_test
from learnrate.torch.recipe import Recipe
from learnrate.torch.snapshot import preserve
from learnrate.torch.training import Evaluate, Loss, UpdateOptions
from learnrate.torch.tune import tune

__all__ = [
    "Attachment",
    "Evaluate",
    "Loss",
    "Recipe",
    "Scheduler",
    "UpdateOptions",
    "accuracy_test",
    "attach",
    "preserve",
    "probe",
    "range_test",
    "tune",
]
