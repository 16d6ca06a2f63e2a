"""Exact give-back: what training changes, where its copy lives, how it is put back.

`preserve` and `Snapshot` copy a whole training set-up. `undos`, `modes`, `random_numbers` and `same_random_numbers` are the
parts that adapters use by themselves.
"""

from learnrate.torch.snapshot.parts import Undo, modes, random_numbers, same_random_numbers
from learnrate.torch.snapshot.preserve import Preserved, Snapshot, preserve
from learnrate.torch.snapshot.sources import undos
from learnrate.torch.snapshot.storage import CopyTo, TensorStorage

__all__ = [
    "CopyTo",
    "Preserved",
    "Snapshot",
    "TensorStorage",
    "Undo",
    "modes",
    "preserve",
    "random_numbers",
    "same_random_numbers",
    "undos",
]
