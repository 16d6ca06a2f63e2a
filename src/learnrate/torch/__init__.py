"""learnrate for PyTorch."""

from learnrate.torch.accuracy_test import accuracy_test
from learnrate.torch.driving.attachment import Attachment, attach
from learnrate.torch.driving.scheduler import Scheduler
from learnrate.torch.range_test import range_test
from learnrate.torch.recipe import Recipe
from learnrate.torch.snapshot.preserve import preserve
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
    "range_test",
    "tune",
]
