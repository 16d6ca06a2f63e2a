"""Schedules of a whole run: published compositions of the other schedules."""

from collections.abc import Callable

from learnrate import checks
from learnrate.schedules import durations
from learnrate.schedules.base import Schedule
from learnrate.schedules.durations import REST
from learnrate.schedules.ramps import constant, cosine, linear, one_minus_sqrt
from learnrate.schedules.ramps import warmup as rise
from learnrate.schedules.tree import lengths

__all__ = ["decay", "knee", "linear_to_zero", "trapezoid", "wsd"]

_FALLS: dict[str, Callable[..., Schedule]] = {"linear": linear, "cosine": cosine, "1-sqrt": one_minus_sqrt}


def _run(schedule: Schedule, length: int | str) -> Schedule:
    """The schedule of a run, resolved if the length of the run is given."""
    if isinstance(length, str):
        if durations.length("length", length) == REST:
            return schedule
        checks.refuse("length", "a number of updates or 'rest'", length, "leave it out, and call .resolve(horizon)")
    updates = checks.length("length", length)
    others = [text for text in lengths(schedule) if isinstance(text, str) and text != REST and not text.endswith("%")]
    if others:
        remedy = f"leave it out, and call .resolve(Horizon(updates={updates}, ...)) with what {others[0]!r} needs"
        checks.refuse("length", "'rest' if another length is in epochs or tokens", length, remedy)
    return schedule.resolve(updates)


def wsd(
    max_lr: float,
    length: int | str = REST,
    *,
    warmup: int | str = "5%",
    cooldown: int | str = "20%",
    end: float = 0.0,
    shape: str = "1-sqrt",
) -> Schedule:
    """Warm-up, stable, decay: a rise, a long constant part, and a cooldown.

    Hu et al. (MiniCPM, arXiv 2404.06395, section 4), with the shape and the 20 % of the cooldown from Haegele et al. (arXiv
    2405.18392, section 3).

    Args:
        max_lr: The constant LR, above 0.
        length: Length of the run in updates; left to `resolve` by default.
        warmup: Length of the rise, in updates or as a text; 0 for none.
        cooldown: Length of the cooldown, in updates or as a text; 0 for none.
        end: Value at the end, at least 0.
        shape: "1-sqrt", "linear" or "cosine".

    Raises:
        ArgumentError: if a number is out of its range, or the other parts are longer than the run.

    Example:
        >>> wsd(0.1, 1000)
        warmup(max_lr=0.1, length=50) >> constant(value=0.1, length=750) >> one_minus_sqrt(start=0.1, end=0.0, length=200)
    """
    checks.choice("shape", shape, tuple(_FALLS))
    rising = rise(max_lr, durations.pause("warmup", warmup))
    falling = _FALLS[shape](max_lr, end, durations.pause("cooldown", cooldown))
    return _run(rising >> constant(max_lr, REST) >> falling, length)


def trapezoid(
    max_lr: float, length: int | str = REST, *, warmup: int | str = "5%", cooldown: int | str = "20%", end: float = 0.0
) -> Schedule:
    """`wsd` with a linear cooldown (Zhai et al., arXiv 2106.04560, section 3.4).

    Args:
        max_lr: The constant LR, above 0.
        length: Length of the run in updates; left to `resolve` by default.
        warmup: Length of the rise, in updates or as a text; 0 for none.
        cooldown: Length of the cooldown, in updates or as a text; 0 for none.
        end: Value at the end, at least 0.

    Raises:
        ArgumentError: if a number is out of its range, or the other parts are longer than the run.

    Example:
        >>> trapezoid(0.1, 1000)
        warmup(max_lr=0.1, length=50) >> constant(value=0.1, length=750) >> linear(start=0.1, end=0.0, length=200)
    """
    return wsd(max_lr, length, warmup=warmup, cooldown=cooldown, end=end, shape="linear")


def linear_to_zero(max_lr: float, length: int | str = REST, *, warmup: int | str = "10%") -> Schedule:
    """A warm-up, then a linear decay to 0 (Bergsma et al., "Straight to zero", arXiv 2502.15938).

    Args:
        max_lr: The peak, above 0.
        length: Length of the run in updates; left to `resolve` by default.
        warmup: Length of the rise, in updates or as a text; 0 for none.

    Raises:
        ArgumentError: if a number is out of its range, or the other parts are longer than the run.

    Example:
        >>> linear_to_zero(0.1, 1000)
        warmup(max_lr=0.1, length=100) >> linear(start=0.1, end=0.0, length=900)
    """
    return _run(rise(max_lr, durations.pause("warmup", warmup)) >> linear(max_lr, 0.0), length)


def knee(
    max_lr: float, length: int | str = REST, *, explore: int | str = "50%", warmup: int | str | None = None
) -> Schedule:
    """Explore at a high constant LR, then exploit with a linear decay to 0 (Iyer et al., arXiv 2003.03977, section 4).

    Args:
        max_lr: The LR of the exploration, above 0.
        length: Length of the run in updates; left to `resolve` by default.
        explore: Length of the exploration, in updates or as a text; about half of the run in the paper.
        warmup: Length of a rise before the exploration, in updates or as a text; none by default.

    Raises:
        ArgumentError: if a number is out of its range, or the other parts are longer than the run.

    Example:
        >>> knee(0.1, 1000)
        constant(value=0.1, length=500) >> linear(start=0.1, end=0.0, length=500)
    """
    rising = rise(max_lr, durations.pause("warmup", 0 if warmup is None else warmup))
    exploring = constant(max_lr, durations.pause("explore", explore))
    return _run(rising >> exploring >> linear(max_lr, 0.0), length)


def decay(base_lr: float, max_lr: float, step_size: int | str) -> Schedule:
    """The control policy of the CLR paper: a linear decay from `max_lr` to `base_lr`, then constant.

    Smith, arXiv 1506.01186, section 4.1.1: the control run, which shows that the gain of cycles is not due to a falling LR
    alone.

    Args:
        base_lr: Value from update `step_size` on, at least 0.
        max_lr: Value at update 0, above `base_lr`.
        step_size: Length of the fall, in updates or as a text.

    Raises:
        ArgumentError: if a bound is negative or not finite, `base_lr` is not below `max_lr`, or the length is below 1.

    Example:
        >>> decay(base_lr=0.001, max_lr=0.006, step_size=2000)
        linear(start=0.006, end=0.001, length=2000) >> constant(value=0.001)
    """
    low, high = checks.rate_or_traced("base_lr", base_lr), checks.positive_or_traced("max_lr", max_lr)
    checks.ordered("base_lr", low, "max_lr", high)
    return linear(max_lr, base_lr, durations.span("step_size", step_size)) >> constant(base_lr)
