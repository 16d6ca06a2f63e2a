"""A torch training, one update at a time: the `Trainable` of torch and what it is made of."""

from learnrate.batches import Batches, check_rewindable
from learnrate.torch.training.checkpoint import fingerprint
from learnrate.torch.training.evaluation import Evaluate, HeldOut
from learnrate.torch.training.losses import Loss, Losses
from learnrate.torch.training.seeds import check_seed, seed_everything
from learnrate.torch.training.trainable import TorchTrainable
from learnrate.torch.training.update import UpdateOptions, Updater

__all__ = [
    "Batches",
    "Evaluate",
    "HeldOut",
    "Loss",
    "Losses",
    "TorchTrainable",
    "UpdateOptions",
    "Updater",
    "check_rewindable",
    "check_seed",
    "fingerprint",
    "seed_everything",
]
