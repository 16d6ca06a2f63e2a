"""Notices that a process waits in a collective operation in which another one does not take part."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from torch.distributed import distributed_c10d

from learnrate.errors import RankError
from learnrate.torch.distributed.failures import FailureReports

PATIENCE = 3.0
"""Seconds without a new operation after which a process says what it waits for. Most waiting is shorter. The exact time does
not matter: a slow process is not mistaken for one that never comes."""

State = Mapping[str, Any]


class Waiting:
    """What this process waits for, in one piece of work.

    Every process counts the exchanges of learnrate, in which all take part, and the collective operations of the training.
    If one has finished an update and waits in the next exchange, while another one is still in this update and has begun
    more operations, then each of the two waits for the other, forever.

    Args:
        failures: Where the processes tell each other what they wait for.
        exchanges: Number of exchanges that this process has begun.
        in_exchange: Whether it waits in the last of them, rather than in an operation of the training.
    """

    def __init__(self, failures: FailureReports, exchanges: int, *, in_exchange: bool) -> None:
        self._failures = failures
        self._state: dict[str, Any] = {"exchanges": exchanges, "in exchange": in_exchange, "begun": None}
        self._since = time.monotonic()

    def failure(self) -> RankError | None:
        """Report processes that wait for each other; None as long as they may still come together."""
        begun, now = _operations_begun(), time.monotonic()
        if begun != self._state["begun"]:
            self._state["begun"], self._since = begun, now
        if now < self._since + PATIENCE:
            return None
        waiting, missing = _mutual(self._failures.exchange_states(self._state))
        if not missing:
            return None
        if len(missing) <= len(waiting):
            text = f"did not take part in a collective operation in which rank {waiting[0]} waits"
            cause = "for example because its loss skips the forward or the backward pass of the model"
            return self._failures.report(missing[0], f"{text}, {cause}")
        # If most processes lack the operation, it is one too many in the others.
        text = f"waits in a collective operation in which rank {missing[0]} did not take part"
        return self._failures.report(waiting[0], text)


def _operations_begun() -> dict[str, int]:
    """Number of collective operations that this process has begun, by the name of the process group."""
    begun = {}
    groups: list[tuple[Any, str]] = list(distributed_c10d._world.pg_names.items())
    for group, name in groups:
        try:
            begun[str(name)] = group._get_sequence_number_for_group()
        except RuntimeError:  # the backend does not count them
            continue
    return begun


def _mutual(states: Sequence[State | None]) -> tuple[list[int], list[int]]:
    """The ranks that wait in an operation of the training, and those that wait for them without having begun it."""
    by_rank = {rank: state for rank, state in enumerate(states) if state is not None}
    training = {rank: state for rank, state in by_rank.items() if not state["in exchange"]}
    pairs = [
        (rank, other)
        for rank, state in training.items()
        for other, theirs in by_rank.items()
        # The numbers of an earlier wait do not fit together: the state of a process stays until it says a new one.
        if theirs["in exchange"] and theirs["exchanges"] == state["exchanges"] + 1 and _has_begun_more(state, theirs)
    ]
    return sorted({rank for rank, _ in pairs}), sorted({other for _, other in pairs})


def _has_begun_more(state: State, other: State) -> bool:
    return any(number > other["begun"].get(name, number) for name, number in state["begun"].items())
