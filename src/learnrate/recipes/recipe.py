"""The interface of a recipe of any framework."""

from typing import Protocol, runtime_checkable

from learnrate.trainable import Trainable


@runtime_checkable
class Recipe(Protocol):
    """How to build and train a model: everything except the learning rate. `learnrate.torch.Recipe` is one.

    Attributes:
        name: Its name; empty for the name of its file.
        updates: Length of a training run.
    """

    name: str
    updates: int

    def trainable(self, seed: int, *, test: bool = False) -> Trainable:
        """A new training; everything random in it follows from the seed.

        Args:
            seed: From 0 to 2 ** 32 - 1.
            test: Whether its evaluation measures a finished training instead of deciding between trials.
        """
