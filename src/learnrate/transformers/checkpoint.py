"""What a checkpoint of the Trainer has of a schedule: an entry among the states of its callbacks, in trainer_state.json."""

from collections.abc import Iterator, Mapping
from typing import Any

from transformers import TrainerState

from learnrate import checks

KEY = "learnrate"
"""The attribute, in the state of a callback, that marks it as one of learnrate."""


def saved(state: TrainerState) -> Mapping[str, Any] | None:
    """The state of the schedules in the checkpoint that a run resumes from; None if there is none."""
    entries = [attributes[KEY] for _, attributes in _entries(state) if attributes[KEY] is not None]
    return entries[-1] if state.global_step and entries else None


def entry(saved: Mapping[str, Any], *keys: str) -> Any:
    """An entry of such a state.

    Raises:
        ArgumentError: if it has none of this name.
    """
    value: Any = saved
    for key in keys:
        if not isinstance(value, Mapping) or key not in value:
            checks.refuse("the state of learnrate in trainer_state.json", f"a mapping with the key {key!r}", value)
        value = value[key]
    return value


def hand_over(state: TrainerState, name: str, own: dict[str, Any]) -> None:
    """Leave one entry in the checkpoints to come, that of the callback of this run.

    The Trainer saves the state of a callback only if there is an entry for its class from the beginning, which a checkpoint
    of a run without the callback does not have.
    """
    callbacks: Any = state.stateful_callbacks
    for other in [other for other, _ in _entries(state)]:
        del callbacks[other]
    callbacks[name] = own


def _entries(state: TrainerState) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The callbacks of learnrate, by the names of their classes, with their attributes."""
    callbacks: Any = state.stateful_callbacks  # by name, although its annotation says otherwise
    for name, entry in list(callbacks.items()):
        for callback in entry if isinstance(entry, list) else [entry]:
            attributes = callback.get("attributes", {}) if isinstance(callback, Mapping) else {}
            if KEY in attributes:
                yield name, attributes
                break
