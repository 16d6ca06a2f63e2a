"""The noise that timm puts on an LR, without torch: the numbers of torch's generator on the CPU, from NumPy's.

Both are the Mersenne Twister of 32 bits with the same seeding (Matsumoto and Nishimura, 1998), so its raw numbers are equal.
How torch makes uniform and normal numbers of them: aten/src/ATen/core/DistributionsHelper.h.
"""

import math
from collections.abc import Iterator

import numpy as np


def noise(kind: str, limit: float, deviation: float, seed: int) -> float:
    """A number within (-limit, limit): what `timm.scheduler.scheduler.Scheduler._calculate_noise` draws.

    Args:
        kind: "normal" or "uniform".
        limit: Normal numbers beyond it are drawn again.
        deviation: Standard deviation of normal numbers.
        seed: Seed of the generator, at least 0.
    """
    raw = _raw(seed)
    if kind == "uniform":
        return 2 * (math.ldexp(next(raw) & (2**24 - 1), -24) - 0.5) * limit
    return next(value for value in (number * deviation for number in _normal(raw)) if abs(value) < limit)


def _raw(seed: int) -> Iterator[int]:
    """Numbers of 32 bits."""
    generator = np.random.RandomState(seed % 2**32)
    while True:
        yield int(generator.randint(0, 2**32, dtype=np.uint32))


def _normal(raw: Iterator[int]) -> Iterator[float]:
    """Standard normal numbers in single precision, in pairs as the method of Box and Muller gives them."""
    while True:
        angle, size = (math.ldexp((next(raw) << 32 | next(raw)) & (2**53 - 1), -53) for _ in range(2))
        radius = math.sqrt(-2 * math.log1p(-size))
        yield float(np.float32(radius * math.cos(2 * math.pi * angle)))
        yield float(np.float32(radius * math.sin(2 * math.pi * angle)))
