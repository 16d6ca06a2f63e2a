"""Whether a noisy series still falls: averages over ever shorter parts of its end, in a handful of numbers.

The values are averaged in blocks, which are nearly independent of each other, also where neighbouring values are not. Of n
blocks, the average M(c) gives block i the weight i ** (c - 1): M(1) is the plain mean, M(128) that of about the last
hundredth. Each average is one number, which moves by c / (n + c - 1) of its distance to a new block. For blocks that fall by
`fall` each, M(c) - M(2c) is

    fall * n * (1 / (c + 1) - 1 / (2c + 1)),

and for blocks without a trend, whose standard deviation is s, it has the mean 0 and the variance

    s ** 2 / n * (c ** 2 / (2c - 1) + (2c) ** 2 / (4c - 1) - 4 * c ** 2 / (3c - 1)).

So the series is looked at on all scales at once, and what is remembered of it grows with it. s is measured by second
differences (Gasser, Sroka and Jennen-Steinmetz, 1986, Biometrika 73, 625-633), which a steady fall does not change, of
blocks that are two apart, because direct neighbours may be correlated. Nothing changes if the series is shifted, or
multiplied with a number above 0.
"""

import math
from collections import namedtuple
from typing import Any, NamedTuple

from learnrate.control.levels import Level, leveled
from learnrate.schedules.numerics import NUMBERS, Namespace

SCALES = (1, 2, 4, 8, 16, 32, 64, 128)
"""The exponents c of the averages."""

PARTS = 16
"""Blocks in a patience. The noise is measured by the differences of blocks: fewer blocks leave too few of them, and more
blocks are shorter, so that neighbours are more alike."""

FEWEST = 10
"""Blocks before which nothing is decided, where a patience has fewer values than that."""

CHANCE = 0.5
"""Standard errors below which a fall is not significant: without a trend, 7 of 10 series are below."""

JUDGED = ((1, 1), (2, 2), (3, 4), (4, 12), (5, 36))
"""Pairs of averages that are looked at for a trend, by the position of the first, and from how many patiences on. The later
one looks at a shorter part of the series, so that a fall that has ended is forgotten; it begins where its standard error
is no larger than that of the first pair after one patience: with the third pair it is half of that."""

SLOWER = (0.0, 0.07, 0.2, 0.35, 0.45)
"""The present rate of fall, as a share of an earlier one, below which the fall has ended, by the position of the pair that
sees the earlier rate. A power law n ** -p with p = 1 has 0.29, 0.56, 0.75, 0.87 of the earlier rate from the second position
on, one with p = 1.5 has 0.13, 0.46, 0.69, 0.83. They fall steadily in this sense, and so do curves that bend somewhat
more."""

SURE = 3.0
"""Standard errors by which the present rate has to be below the share of the earlier one."""


class Trend(NamedTuple):
    """What is kept of a series since its start.

    Attributes:
        values: Number of values so far; `level` and `spread` are those of `levels.Level`.
        pending: Number of values in the block that is not complete; `total` is their sum.
        blocks: Number of complete blocks; `mean_1`, `mean_2` and so on are their averages, `noise` is the standard
            deviation of one, `last_1` to `last_4` are the last ones.
        lowest_lr: The lowest LR since the start.
        last_lr: The LR to which the next one is compared; 0 before the first.
    """

    values: Any = 0
    level: Any = 0.0
    spread: Any = 0.0
    pending: Any = 0
    total: Any = 0.0
    blocks: Any = 0
    mean_1: Any = 0.0
    mean_2: Any = 0.0
    mean_4: Any = 0.0
    mean_8: Any = 0.0
    mean_16: Any = 0.0
    mean_32: Any = 0.0
    mean_64: Any = 0.0
    mean_128: Any = 0.0
    noise: Any = 0.0
    last_1: Any = 0.0
    last_2: Any = 0.0
    last_3: Any = 0.0
    last_4: Any = 0.0
    lowest_lr: Any = 0.0
    last_lr: Any = 0.0

    @property
    def means(self) -> tuple[Any, ...]:
        """The averages, that of the longest part first."""
        return self[6:14]


FIELDS = len(Trend._fields)


def state_with_trend(name: str, module: str, **own: Any) -> Any:
    """The type of a state: the numbers of a trend, and those of the controller with their initial values.

    Args:
        name: Name of the type.
        module: Where it is defined.
        own: The other numbers.
    """
    defaults = (*Trend(), *own.values())
    return namedtuple(name, (*Trend._fields, *own), defaults=defaults, module=module)


def trend_of(state: Any) -> Trend:
    """The trend in a state of such a type."""
    return Trend(*state[:FIELDS])


def block_length(patience: int) -> int:
    """Values in a block."""
    return max(1, patience // PARTS)


def shortest(patience: int) -> int:
    """Blocks before which nothing is decided."""
    return max(FEWEST, -(-patience // block_length(patience)))


def begun_if(condition: Any, trend: Trend, lr: Any, xp: Namespace) -> Trend:
    """The trend, which begins again at this LR if the condition is true."""
    if xp is NUMBERS:
        return Trend(lowest_lr=lr, last_lr=lr) if condition else trend
    initial = Trend(lowest_lr=lr, last_lr=lr)
    return Trend(*(xp.where(condition, new, old) for new, old in zip(initial, trend, strict=True)))


RISE, DROP = 1.25, 0.8
"""What a change of the LR by others has to be, as a factor, for the series to begin again: a fall of the loss before it says
little about what follows. A rise counts from the lowest LR since the start, so that nothing is decided during a warm-up of
less than 4 patiences; a drop counts from one update to the next, so that a slow decay is no change."""


def follow_lr(trend: Trend, lr: Any, restarts: Any, xp: Namespace) -> Trend:
    """Begin again where the LR has changed, or a cycle begins."""
    changed = (lr > RISE * trend.lowest_lr) | (lr < DROP * trend.last_lr) | restarts
    lowest = xp.where(lr < trend.lowest_lr, lr, trend.lowest_lr)
    return begun_if(changed, trend._replace(lowest_lr=lowest, last_lr=lr), lr, xp)


def require_constant_lr(trend: Trend, lr: Any, restarts: Any, tolerance: float, xp: Namespace) -> Trend:
    """Begin again where the LR is another than at the start, by more than a share of it."""
    changed = (xp.abs(lr - trend.last_lr) > tolerance * trend.last_lr) | (trend.last_lr <= 0) | restarts
    return begun_if(changed, trend, lr, xp)


def add(trend: Trend, value: Any, block: int, xp: Namespace) -> tuple[Trend, Any]:
    """Take in a value.

    Args:
        trend: What is kept of the values before it.
        value: The value; it is ignored if it is not finite.
        block: Values in a block.
        xp: The functions of the library of these numbers.

    Returns:
        The trend, and whether a block has become complete.
    """
    where = xp.where
    level, clipped, usable = leveled(Level(trend.values, trend.level, trend.spread), value, xp)
    pending = trend.pending + where(usable, 1, 0)
    total = trend.total + clipped
    done = pending >= block
    if xp is NUMBERS and not done:  # most calls end here; with arrays the same follows from `where`
        return Trend(*level, pending, total, *_of_blocks(trend)), False
    mean, n = total / block, trend.blocks + 1
    means = [where(done, m + c / (n + c - 1) * (mean - m), m) for c, m in zip(SCALES, trend.means, strict=True)]
    off = xp.abs(mean - 2 * trend.last_2 + trend.last_4) * _NORMAL_SECOND
    noise = where(done & (n > 4), trend.noise + 4 / (xp.clip(n - 4, 1, None) + 3) * (off - trend.noise), trend.noise)
    last = (mean, trend.last_1, trend.last_2, trend.last_3)
    lasts = [where(done, new, old) for new, old in zip(last, trend[15:19], strict=True)]
    pending, total = where(done, 0, pending), where(done, 0.0, total)
    blocks = where(done, n, trend.blocks)
    numbers: tuple[Any, ...] = (*level, pending, total, blocks, *means, noise, *lasts, trend.lowest_lr, trend.last_lr)
    return Trend(*numbers), done


def _of_blocks(trend: Trend) -> tuple[Any, ...]:
    return trend[5:]


_NORMAL_SECOND = 1 / (math.sqrt(6) * math.sqrt(2 / math.pi))
"""From the mean size of a second difference to the standard deviation, for normal noise."""


def _of_pair(c: int) -> tuple[float, float]:
    """By how much the two averages differ for a series that falls by 1 from start to end, and for noise of 1 / sqrt(n)."""
    d = 2 * c
    return 1 / (c + 1) - 1 / (d + 1), math.sqrt(c * c / (2 * c - 1) + d * d / (2 * d - 1) - 2 * c * d / (c + d - 1))


_PAIRS = tuple(map(_of_pair, SCALES[:-1]))


def falls(trend: Trend, xp: Namespace) -> list[tuple[Any, Any]]:
    """How far the series would fall from start to end at the rates of its parts, the longest first; and standard errors."""
    unit = trend.noise / xp.sqrt(xp.clip(trend.blocks, 1, None))
    means = trend.means
    return [
        ((longer - shorter) / age, unit * (sd / age))
        for (age, sd), longer, shorter in zip(_PAIRS, means[:-1], means[1:], strict=True)
    ]


def has_ended(trend: Trend, least: Any, xp: Namespace) -> Any:
    """Whether there is no fall worth waiting for; see `plateau`. To be asked when a block has become complete.

    Args:
        trend: What is kept of the series.
        least: Number of blocks in a patience, `shortest(patience)` or a multiple of it.
        xp: The functions of the library of these numbers.
    """
    if xp is NUMBERS and trend.blocks < least:
        return False
    return (trend.blocks >= least) & (_is_flat(trend, least, xp) | _is_slower(trend, least, xp))


def _is_flat(trend: Trend, least: Any, xp: Namespace) -> Any:
    estimates = falls(trend, xp)
    (whole, error), flat = estimates[0], trend.blocks < 0
    for position, patiences in JUDGED:
        fall, own_error = estimates[position]
        judged = (trend.blocks >= patiences * least) & (fall <= CHANCE * own_error)
        if position == 1:
            # The plain mean sees a fall best, but remembers the start for long.
            judged = judged & ((whole <= CHANCE * error) | (trend.blocks >= 2 * least))
        flat = flat | judged
    return flat


def _is_slower(trend: Trend, least: Any, xp: Namespace) -> Any:
    estimates = falls(trend, xp)
    slower = trend.blocks < 0
    for position in range(1, len(SLOWER)):
        (past, past_error), (fall, error) = estimates[position], estimates[position + 2]
        # The later average sees about the last 3 n / c blocks.
        looked = (trend.blocks >= 2 * least) & (3 * trend.blocks >= SCALES[position + 2] * least)
        present = xp.clip(fall, 0.0, None) + SURE * error
        slower = slower | (looked & (present < SLOWER[position] * (past - SURE * past_error)))
    return slower


LEVEL_ERROR = 4 / math.sqrt(7)
"""The standard error of M(4), in those of a plain mean."""


def recent_level(trend: Trend, xp: Namespace) -> tuple[Any, Any]:
    """The mean of about the last half of the series, and its standard error."""
    return trend.mean_4, LEVEL_ERROR * trend.noise / xp.sqrt(xp.clip(trend.blocks, 1, None))


def described(trend: Trend, block: int, least: float, name: str, unit: str) -> str:
    """Why a fall has ended, in words, for plain numbers."""
    count, estimates = trend.blocks * block, falls(trend, NUMBERS)
    if _is_flat(trend, least, NUMBERS):
        judged = [estimates[position] for position, patiences in JUDGED if trend.blocks >= patiences * least]
        fall, error = min(judged, key=lambda pair: pair[0] - CHANCE * pair[1])
        return (
            f"the {name} has no significant trend for the better: {fall:.3g} in {count} {unit}, standard error {error:.3g}"
        )
    pairs = [(estimates[position], estimates[position + 2]) for position in range(1, len(SLOWER))]
    (past, _), (fall, _) = min(pairs, key=lambda pair: pair[1][0] - pair[0][0])
    return f"the {name} hardly gets better any more: {past:.3g} in {count} {unit} before, {fall:.3g} at the present rate"
