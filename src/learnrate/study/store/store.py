"""What a store of a study does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from learnrate.study.definition import Definition
from learnrate.study.running.run import Chosen, EndedRun, Failure, Key
from learnrate.study.running.training import Training


@dataclass(frozen=True)
class Stored:
    """A run that has ended, in a store.

    Attributes:
        result: Its training, chosen LR or failure.
        environment: Versions and hardware of its worker.
        finished: When, in seconds since 1970.
    """

    result: Training | Chosen | Failure
    environment: Mapping[str, str] = field(default_factory=dict)
    finished: float = 0.0


@dataclass(frozen=True)
class Contents:
    """All of a study.

    Attributes:
        definition: See `Definition.as_record`.
        runs: The runs that have ended.
        in_progress: The runs that living processes are making.
    """

    definition: Mapping[str, Any]
    runs: Mapping[Key, Stored]
    in_progress: tuple[Key, ...] = ()


class Store(Protocol):
    """A study that several processes may make together.

    A process claims a run before it makes it. The claim of a process that has ended in any way is void.

    Attributes:
        path: The file or folder.
        checkpoints: The folder for trainings in progress.
    """

    path: Path
    checkpoints: Path

    def begin(self, definition: Definition) -> str:
        """Write the definition, or compare it with the one that is stored.

        Returns:
            The identifier of the study.

        Raises:
            ArgumentError: if the study is another one.
            OutputError: if it cannot be written.
        """

    def claim(self, keys: Sequence[Key], most: int) -> list[Key]:
        """Claim runs that have neither ended well nor are claimed by a living process.

        Args:
            keys: The runs that are wanted, in their order. One that failed before this process began is tried again.
            most: The number of runs to claim at most.

        Returns:
            Those that were claimed.

        Raises:
            OutputError: if it cannot be written.
        """

    def finish(self, ended: EndedRun) -> None:
        """Store the result of a run that this process has claimed: all of it, or nothing and an error.

        Raises:
            OutputError: if it cannot be written.
        """

    def release(self, key: Key) -> None:
        """Release the claim of a run that was not made."""

    def contents(self) -> Contents:
        """All that is stored.

        Raises:
            OutputError: if it cannot be read, or no study was begun.
        """

    def others_work(self) -> bool:
        """Whether other living processes have claimed runs."""

    def close(self) -> None:
        """Release all claims, and close the store."""
