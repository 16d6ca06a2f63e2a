"""The arguments of `attach`, `Scheduler` and the adapters that concern control, documented once."""

import os
from typing import Any, TypedDict

import torch
from torch import nn

from learnrate import checks
from learnrate.control.controller import named
from learnrate.control.live import page_settings
from learnrate.torch.inputs import check_model


class ControlOptions(TypedDict, total=False):
    """Reacting while training; see `learnrate.control`.

    Attributes:
        control: A controller of `learnrate.control`, several in a list, or a mapping from the names that the record has.
        model: The model, of which a guard keeps snapshots. Needed for nothing else.
        scaler: The `torch.amp.GradScaler` of the run, so that a rollback puts its scale back too.
        record: File of the record, in which every update and every action is kept; see `learnrate.Record`.
        page: Whether a live page is served from this process; or a `learnrate.control.Page` with its settings.
    """

    control: Any
    model: nn.Module | None
    scaler: torch.amp.GradScaler | None
    record: str | os.PathLike[str] | None
    page: Any


def check_options(options: ControlOptions) -> ControlOptions:
    """The options, checked as far as they can be before a run begins.

    Raises:
        ArgumentError: if an option breaks its rule.
        ArgumentTypeError: if one is of the wrong type.
    """
    named(options.get("control"))
    checks.optional(checks.path)("record", options.get("record"))
    page_settings(options.get("page", False))
    return options


def asks_for_control(options: ControlOptions) -> bool:
    """Whether one of the options makes a control necessary.

    Raises:
        ArgumentError: if the model is none that can be trained.
        ArgumentTypeError: if it is no module.
    """
    if (model := options.get("model")) is not None:
        check_model(model)
    return (
        options.get("control") is not None
        or options.get("record") is not None
        or page_settings(options.get("page", False)) is not None
    )


def copied(options: ControlOptions) -> ControlOptions:
    """The options of a copy of what they were given to: one record has one writer, and one page one run."""
    return {"control": options.get("control"), "model": options.get("model"), "scaler": options.get("scaler")}
