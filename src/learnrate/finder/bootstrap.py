"""A curve as it might have been, had its batch noise been drawn anew."""

import numpy as np

from learnrate.finder.descent import capped
from learnrate.finder.smoothing import Floats, smooth


def redrawn(losses: Floats, draws: int) -> Floats:
    """Series whose noise is drawn anew, from a fixed seed; shape (draws, n).

    A residual bootstrap: the deviations from the smoothed losses are shuffled over the updates, with replacement
    (Efron and Tibshirani 1993, chapter 9).

    Args:
        losses: Finite losses, update by update.
        draws: Number of series.
    """
    clean = capped(losses)
    smoothed = smooth(clean)
    residuals = clean - smoothed
    drawn: Floats = np.random.default_rng(0).choice(residuals - residuals.mean(), size=(draws, len(residuals)))
    return smoothed + drawn
