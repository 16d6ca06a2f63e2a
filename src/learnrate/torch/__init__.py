"""learnrate for PyTorch."""

from learnrate.torch.accuracy import accuracy_test
from learnrate.torch.attachment import Attachment, attach
from learnrate.torch.finding import range_test
from learnrate.torch.loop import Evaluate, Loss
from learnrate.torch.recipe import Recipe
from learnrate.torch.scheduler import Scheduler
from learnrate.torch.snapshot import preserve
from learnrate.torch.tuning import tune

__all__ = [
    "Attachment",
    "Evaluate",
    "Loss",
    "Recipe",
    "Scheduler",
    "accuracy_test",
    "attach",
    "preserve",
    "range_test",
    "tune",
]
