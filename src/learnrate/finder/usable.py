"""What no rule can read."""

from typing import TYPE_CHECKING

import numpy as np

from learnrate.finder.bounds import NoAnswer

if TYPE_CHECKING:
    from learnrate.finder.curve import Curve

MIN_POINTS = 10


def unusable(curve: "Curve", rule: str) -> NoAnswer | None:
    """Why no rule can read the curve: too few losses, or the same one throughout; None where one may."""
    losses = curve.finite().losses
    if len(losses) < MIN_POINTS:
        remedy = f"A curve needs at least {MIN_POINTS}: start from a lower LR, or give more updates."
        return NoAnswer(f"only {len(losses)} losses are finite.", remedy, rule)
    if float(np.ptp(losses)) == 0.0:
        remedy = "Check that the loss depends on the parameters that the optimizer holds."
        return NoAnswer(f"the loss is exactly {losses[0]:.6g} at every update.", remedy, rule)
    return None
