"""What the tuner has to know about an optimizer."""

from dataclasses import dataclass
from typing import Literal, get_args

from learnrate import checks

LR_DRIFT = -0.1
"""By how many doublings the best LR changes with each doubling of the length of a training, for most optimizers: see
`OptimizerTraits.lr_drift`. Measured on the tasks of benchmarks/choice."""

ADAGRAD_DRIFT = 0.5
"""AdaGrad divides by the root of the sum of all squared gradients (Duchi, Hazan and Singer 2011, section 1.1), and so
shrinks its steps with the root of their number: with each doubling of the training its best LR rises by half a doubling."""

OptimizerKind = Literal["adam", "sgd"]
"""Kinds of optimizers for which it was measured how the best LR changes with the training: see `learnrate.Plan.carry`."""


@dataclass(frozen=True)
class OptimizerTraits:
    """What the tuner has to know about the optimizer.

    Attributes:
        lr_drift: Change of log2 of the best LR with each doubling of the length of a training, from -1 to 1. The best LR
            falls a little for most optimizers and rises for AdaGrad, which shrinks its steps itself.
        unbounded_steps: Whether a step grows with its gradient without limit, as a step of SGD does without clipping. Then a
            single batch can destroy the model at an LR that most batches tolerate.
        kind: "adam" for Adam and AdamW, "sgd" for SGD without clipping; None for any other optimizer, and if not known.

    Raises:
        ArgumentError: if `lr_drift` is not from -1 to 1, or `kind` is none of its words.
        ArgumentTypeError: if a value is of the wrong type.
    """

    lr_drift: float = LR_DRIFT
    unbounded_steps: bool = False
    kind: OptimizerKind | None = None

    def __post_init__(self) -> None:
        # At -1 or 1 the best LR is proportional to the length of the run, or to its inverse. No optimizer is known to go
        # beyond that.
        if abs(checks.finite("lr_drift", self.lr_drift)) > 1:
            checks.refuse("lr_drift", "between -1 and 1", self.lr_drift)
        checks.flag("unbounded_steps", self.unbounded_steps)
        checks.optional(checks.one_of(*get_args(OptimizerKind)))("kind", self.kind)
