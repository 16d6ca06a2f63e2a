"""When the evidence carries no answer, and what would give one: said here, rather than choosing from noise."""

import math
from collections.abc import Sequence

import numpy as np

from learnrate.errors import NoAnswerError
from learnrate.finder import Curve
from learnrate.finder.smoothing import Floats
from learnrate.tuner.budget import usual
from learnrate.tuner.evidence import LITTLE, Heat, learned, safe, tells
from learnrate.tuner.search import STRIDE, Search

LEVEL = 3
"""Losses from which the level of a loss and its noise can be told."""

SEVERAL = 3
"""Races at different LRs that are not lost at the same update by chance."""


def require_level(curve: Curve, first: Floats) -> None:
    """Refuse a range test whose loss was lost before it had shown where it starts.

    Raises:
        NoAnswerError: if too few of its first losses are finite.
    """
    finite = np.isfinite(first)
    if finite.sum() >= LEVEL:
        return
    if finite.all():
        raise NoAnswerError(f"the budget was used up after {len(curve)} updates of the range test.", "Give a larger one.")
    at = int(np.argmin(finite))
    raise NoAnswerError(
        f"the loss was not finite at update {at} of the range test, at LR {curve.lrs[at]:.2g}.",
        "Look for NaN or infinity in the batch of that update, or give a lower `low`.",
    )


def require_sound(search: Search, lowest: float) -> None:
    """Refuse to go on where no race came to its end.

    Args:
        search: The races.
        lowest: The beginning of the range test, in octaves.

    Raises:
        NoAnswerError: if none did.
    """
    if not search.races:
        raise NoAnswerError("the budget was used up before a race had ended.", _more_time(search))
    require_finite(search)
    if not any(heat.sound for heat in safe(search.all_heats(), search.start)):
        tried = ", ".join(f"{race.max_lr:g}" for race in search.races)
        reached = math.log2(min(race.max_lr for race in search.races)) <= lowest + STRIDE
        remedy = "Give a lower `low` for the range test, or a larger budget." if reached else "Give a larger budget."
        raise NoAnswerError(f"every candidate max_lr diverged ({tried}).", remedy)


def require_finite(search: Search) -> None:
    """Refuse races whose losses all were not finite at the same update, whatever their LR: that is the data.

    Raises:
        NoAnswerError: if those of any length did.
    """
    for heat in search.all_heats():
        made = {race.made for race in heat.races}
        if len(heat.races) >= SEVERAL and len(made) == 1 and all(math.isinf(race.highest) for race in heat.races):
            raise NoAnswerError(
                f"every loss was not finite at the same update, number {max(made) - 1}, whatever the LR.",
                "Look for NaN or infinity in the batch of that update.",
            )


def require_raced(search: Search, updates: int) -> None:
    """Refuse to compare families that did not all race.

    Raises:
        NoAnswerError: if one did not.
    """
    if not any(race.updates == updates for race in search.races):
        raise NoAnswerError(
            f"the budget leaves no races to the family {search.name!r} beside the others.",
            "Give a larger one, a longer training, or fewer families.",
        )


def require_learned(search: Search, highest: float) -> None:
    """Refuse to choose between racers none of which has learned, below the cliff: that would be choosing from noise.

    Args:
        search: The races.
        highest: The end of the range test, in octaves.

    Raises:
        NoAnswerError: if none has.
    """
    heats = safe(search.all_heats(), search.start)
    if any(tells(heat, search.start) for heat in heats):
        return
    raise NoAnswerError(
        f"no LR made the loss fall enough to choose by, in races of up to {max(search.heats)} updates.",
        _what_would(search, heats, highest),
    )


def _what_would(search: Search, heats: Sequence[Heat], highest: float) -> str:
    start, longest = search.start, max(heats, key=lambda heat: heat.updates)
    if all(loss == start.loss for race in search.races for loss in (*race.judged, race.highest)):
        return "Give a larger budget, for a plateau; or see that the loss depends on what is trained: it never changed."
    top = max(race.max_lr for race in search.races)
    # Few models want an LR above 1, so that one who asks for less may have asked for too little.
    if top < 1 and math.log2(top) >= highest - 1 and not any(race.diverged for race in search.races):
        return f"Give a higher `high`, for none was too high up to {top:.2g}, or a larger budget."
    larger = "Give a larger budget: the model may sit on a plateau that long."
    if learned(longest, start) and longest.fall(start) < LITTLE * abs(start.loss):
        return (
            f"{larger} Or take away what is constant in the loss, which has fallen from {start.loss:.6g} by "
            f"{longest.fall(start):.2g} at most, if something is."
        )
    return larger


def _more_time(search: Search) -> str:
    purse = search.track.purse
    if not math.isfinite(purse.budget.seconds) or not purse.pace:
        return "Give a larger one."
    updates = usual(search.track.horizon)
    return f"Give a larger one: the usual {updates} updates take about {purse.pace * updates:.2g} seconds."
