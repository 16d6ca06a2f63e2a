"""Lengths in tokens while the number of tokens in an update changes, because the batch or the sequence grows.

A length in tokens then depends on where in the run it begins, so the parts of a chain are resolved in order, and those after
the part that takes the rest in reverse order, from the end of the run.
"""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from learnrate import checks
from learnrate.errors import ArgumentError
from learnrate.schedules import tree
from learnrate.schedules.base import Schedule, known_length
from learnrate.schedules.chain import Chain, chained
from learnrate.schedules.custom import function
from learnrate.schedules.durations import Horizon, in_tokens
from learnrate.schedules.ramps import constant

MOST_UPDATES = 2**25
"""Updates that are counted at most; a run has fewer."""


def updates_for(tokens: float, per_update: Schedule) -> Fraction:
    """The number of updates in which this number of tokens is used, with the share that is needed of the last one."""
    used, first, size = 0.0, 0, 4096
    while True:
        if first >= MOST_UPDATES:
            remedy = f"{checks.shown(per_update)} is too low"
            checks.refuse("length", f"used up within {MOST_UPDATES} updates", f"{tokens:g} tokens", remedy)
        values = per_update(np.arange(first, first + size))
        if values.min() <= 0:
            checks.refuse("tokens_per_update", "above 0 at every update", per_update)
        totals = used + np.cumsum(values)
        whole = int(np.searchsorted(totals, tokens))
        if whole < size:
            before = totals[whole - 1] if whole else used
            return first + whole + Fraction(tokens - float(before)) / Fraction(float(values[whole]))
        used, first, size = float(totals[-1]), first + size, min(2 * size, 2**20)


def resolved_parts(parts: Sequence[Schedule], horizon: Horizon, rest: int | None) -> Schedule:
    """The parts of a chain, each resolved at its own place in the run."""
    middle = next((i for i, part in enumerate(parts) if tree.takes_rest(part)), len(parts))
    start, before = 0, []
    for part in parts[:middle]:
        before.append(part._resolve(after(start, horizon), None))
        start += known_length(before[-1]) or 0
    if middle == len(parts):
        return chained(before)
    end, behind = rest, []
    for part in reversed(parts[middle + 1 :]):
        behind.append(part._resolve(horizon if end is None else until(end, horizon), None))
        end = None if end is None else end - (known_length(behind[-1]) or 0)
    taking = parts[middle]._resolve(after(start, horizon), None if end is None else end - start)
    return chained((*before, taking, *reversed(behind)))


def after(start: int, horizon: Horizon) -> Horizon:
    """The horizon of what begins at update `start`."""
    per_update = horizon.tokens_schedule
    if per_update is None or start == 0:
        return horizon
    length = known_length(per_update)
    is_over = length is not None and start >= length
    rest = constant(per_update(start)) if is_over else per_update.shift(-start)
    return replace(horizon, tokens_per_update=rest)


def until(end: int, horizon: Horizon) -> Horizon:
    """The horizon of what ends at update `end`, with the tokens counted from there back to the start."""
    per_update = horizon.tokens_schedule
    if per_update is None or end < 1:
        return horizon
    return replace(horizon, tokens_per_update=function(lambda n: per_update(end - 1 - n), length=end - 1))


def in_updates(per_update: Schedule, run: Horizon) -> Schedule:
    """A number of tokens per update with all lengths in updates.

    The length of a part in tokens is the number of updates in which the part itself uses them.
    """
    parts = per_update.parts if isinstance(per_update, Chain) else (per_update,)
    return chained([_in_updates(part, run) for part in parts])


def _in_updates(part: Schedule, run: Horizon) -> Schedule:
    lengths = [*tree.lengths(part)]
    if not any(map(in_tokens, lengths)):
        return part if part.is_resolved else part.resolve(run)
    if lengths != [part.length]:
        raise ArgumentError(
            "tokens_per_update must have no lengths in tokens other than those of its parts, received "
            f"{checks.shown(part)}: give its lengths in updates"
        )
    wanted = in_tokens(lengths[0])

    def used(updates: int) -> float:
        return float(replace(part, length=updates)(np.arange(updates)).sum())  # type: ignore[type-var]

    most = 1
    while used(most) < wanted:
        most *= 2
        if most > MOST_UPDATES:
            checks.refuse("tokens_per_update", f"such that {part.length} take at most {MOST_UPDATES} updates", part)
    least = most // 2  # too short, or 0
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (middle, most) if used(middle) < wanted else (least, middle)
    nearest = most if least == 0 or used(most) - wanted < wanted - used(least) else least
    return replace(part, length=nearest)  # type: ignore[type-var]
