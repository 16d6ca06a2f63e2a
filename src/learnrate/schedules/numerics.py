"""One formula for every kind of count: Python numbers, and NumPy, torch, CuPy and JAX arrays, traced or not.

A schedule writes its formula once, with the few functions of `Namespace`. For an array they are the functions of its own
library (which array-api-compat finds without importing any); for a Python number they are those of `math`.
"""

import math
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Never, Protocol

import numpy as np
from array_api_compat import array_namespace, is_jax_array, is_torch_array

from learnrate import checks
from learnrate.errors import ArgumentError, ArgumentTypeError

BLOCK = 8192
"""Number of counts of a NumPy array that are evaluated at a time. The intermediate results of a formula then stay in the
cache of the processor, and a long curve needs memory only for its counts and its values."""

Formula = Callable[[Any, "Namespace"], Any]
"""From a count and its namespace to the value."""


class Namespace(Protocol):
    """The functions of an array library that the formulas need."""

    def exp(self, x: Any, /) -> Any:
        """E to the power of x."""

    def log1p(self, x: Any, /) -> Any:
        """Natural logarithm of 1 + x."""

    def sin(self, x: Any, /) -> Any:
        """Sine of x, in radians."""

    def sqrt(self, x: Any, /) -> Any:
        """Square root of x."""

    def tanh(self, x: Any, /) -> Any:
        """Hyperbolic tangent of x."""

    def abs(self, x: Any, /) -> Any:
        """Absolute value of x."""

    def clip(self, x: Any, low: Any, high: Any, /) -> Any:
        """X limited to [low, high]; None means no limit."""

    def where(self, condition: Any, yes: Any, no: Any, /) -> Any:
        """`yes` where the condition is true, `no` elsewhere."""


class _Numbers:
    """The same functions for Python numbers, without the cost of arrays."""

    exp = staticmethod(math.exp)
    log1p = staticmethod(math.log1p)
    sin = staticmethod(math.sin)
    sqrt = staticmethod(math.sqrt)
    tanh = staticmethod(math.tanh)
    abs = staticmethod(abs)

    @staticmethod
    def clip(x: float, low: float | None, high: float | None) -> float:
        if low is not None and x < low:
            return low
        return high if high is not None and x > high else x

    @staticmethod
    def where(condition: bool, yes: float, no: float) -> float:
        return yes if condition else no


NUMBERS: Namespace = _Numbers()


def counted(n: Any) -> tuple[Any, Namespace, Any]:
    """The count (or array of counts) ready for arithmetic, its namespace, and the dtype in which an array was given.

    Narrow and unsigned integers are widened, because positions in a cycle are differences of integers as large as the
    lengths of the schedule, which would wrap around.

    Raises:
        ArgumentError: for a negative or NaN number. For arrays see `in_range`.
        ArgumentTypeError: for anything that is neither a number nor an array.
    """
    if isinstance(n, np.generic):
        n = n.item()
    if isinstance(n, (int, float)) and not isinstance(n, bool):
        if not 0 <= n < 2**63:
            refuse_count(n)
        return n, NUMBERS, None
    if _is_keras_variable(n):
        n = n.value
    try:
        # NumPy 2.0 is an array namespace itself; the compatibility layer would only make it slower.
        xp: Any = np if isinstance(n, np.ndarray) else array_namespace(n)
    except TypeError:
        raise ArgumentTypeError(
            f"the update count must be a number or an array, received {checks.shown(n)} of type {type(n).__name__}: "
            "wrap a list in numpy.asarray"
        ) from None
    given = n.dtype
    if xp.isdtype(n.dtype, "integral"):
        # JAX has no 64-bit integers unless jax_enable_x64 is set.
        widest = xp.int32 if is_jax_array(n) and n.dtype.itemsize <= 4 else xp.int64
        if n.dtype != widest:
            n = xp.astype(n, widest)
    elif not xp.isdtype(n.dtype, "real floating"):
        raise ArgumentTypeError(f"an array of update counts must hold real numbers, received dtype {n.dtype}")
    elif n.dtype.itemsize < 4:
        n = xp.astype(n, xp.float32)  # half floats cannot hold the lengths; `as_given` casts the values back
    return n, xp, given


def refuse_count(n: object) -> Never:
    """Raise the error for a count that no update has."""
    checks.refuse("the update count", "at least 0 and below 2 ** 63", n, "a counter of 32 bits may have wrapped around")


def _is_keras_variable(n: object) -> bool:
    """Whether it is a variable of Keras, such as the `iterations` of an optimizer."""
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(n, keras.Variable)


def in_range(counts: Any, xp: Any) -> Any:
    """Counts of an array, none of them below 0.

    Where the counts can be looked at, a count out of range is an error, as it is for a number. Where they cannot, because
    the array is traced or compiled, or because looking would wait for another device, it becomes 0.

    Raises:
        ArgumentError: if a count is negative, NaN, or 2 ** 63 or more.
    """
    if isinstance(counts, np.ndarray):
        if counts.dtype.kind == "i" and (not counts.size or np.minimum.reduce(counts, None) >= 0):
            return counts  # nearly all arrays: the rest of this function is several times as slow
    elif not _can_be_read(counts):
        return xp.where(counts >= 0, counts, 0)
    # NumPy reads an array of JAX while JAX traces: an operation of JAX would be traced too.
    readable = counts if xp is np or is_torch_array(counts) else np.asarray(counts)
    if math.prod(readable.shape):
        if not ((low := readable.min()) >= 0):  # false if there is a NaN
            refuse_count(low.item())
        if not _is_integral(counts, xp) and (high := readable.max()) >= 2.0**63:
            refuse_count(high.item())
    return counts


def _can_be_read(counts: Any) -> bool:
    """Whether the values of an array are in main memory, and known."""
    if is_jax_array(counts):
        jax = sys.modules["jax"]
        return not isinstance(counts, jax.core.Tracer) and all(device.platform == "cpu" for device in counts.devices())
    if is_torch_array(counts):
        torch = sys.modules["torch"]
        if (
            torch.compiler.is_compiling()
            or type(counts) not in (torch.Tensor, torch.nn.Parameter)
            or counts.device.type != "cpu"
        ):
            return False  # a subclass may be a fake tensor, which has a shape and no values
        return not torch._C._functorch.is_functorch_wrapped_tensor(counts)  # by `torch.func.vmap`
    return False


def as_given(value: Any, given: Any, xp: Any) -> Any:
    """The values in the dtype in which the counts were given, if those are half floats."""
    return value if given.itemsize >= 4 or xp.isdtype(given, "integral") else xp.astype(value, given)


def _is_integral(n: Any, xp: Any) -> bool:
    return bool(xp.isdtype(n.dtype, "integral"))


def known_range(n: Any, xp: Namespace) -> tuple[float, float]:
    """Lowest and highest count in `n`, for numbers and NumPy arrays, where it costs little to look.

    For other arrays, which may be traced or on another device, the range of their dtype.
    """
    if xp is NUMBERS:
        return n, n
    if isinstance(n, np.ndarray) and n.size and (low := n.min()) >= 0:  # false if there is a NaN
        return low, n.max()
    return 0, reach(n, xp)


def reach(n: Any, xp: Any) -> float:
    """The highest count that the dtype of `n` can hold."""
    return int(xp.iinfo(n.dtype).max) if xp is not NUMBERS and _is_integral(n, xp) else math.inf


def later(n: Any, by: int, xp: Namespace) -> Any:
    """`n + by`, limited to the highest count of the dtype, where the sum would wrap around."""
    return xp.clip(n, None, reach(n, xp) - by) + by


def has_32_bits(n: Any, xp: Any) -> bool:
    """Whether counts are limited to 32 bits, as in JAX unless jax_enable_x64 is set."""
    return is_jax_array(n) and xp.asarray(0).dtype.itemsize < 8


def require_room(greatest: int) -> None:
    """Refuse a schedule with a length of `greatest` if counts have 32 bits.

    JAX raises its own error for an integer that does not fit, but that error does not name the cause.

    Raises:
        ArgumentError: if a sum of a few such lengths could be too large.
    """
    if greatest >= 2**29:
        raise ArgumentError(
            f"lengths must be below 2 ** 29 updates where JAX counts in 32 bits, received {greatest}: "
            'set jax.config.update("jax_enable_x64", True)'
        )


def split(n: Any, period: float) -> tuple[Any, Any]:
    """The number of whole periods in `n`, and the exact remainder."""
    count = n // period
    return count, n - count * period


def passed(n: Any, edges: Sequence[float], xp: Any) -> Any:
    """The number of the ascending `edges` that are at most `n`."""
    if xp is NUMBERS:
        return bisect_right(edges, n)
    if _is_integral(n, xp):
        largest = reach(n, xp)
        edges = [count for count in map(math.ceil, edges) if count <= largest]  # torch.compile cannot trace a walrus here
    if isinstance(n, np.ndarray):
        # The counts of a block lie between few edges, and among few edges the search is several times as fast.
        before, upto = (bisect_right(edges, count) for count in known_range(n, xp))
        return before + np.searchsorted(_array(edges[before:upto], n, xp, n.dtype), n, side="right")
    return xp.searchsorted(_array(edges, n, xp, n.dtype), n, side="right")


def as_counts(index: Any, n: Any, xp: Any) -> Any:
    """An index in the dtype of the counts if those are floats, so that the values computed from it have that dtype."""
    return index if xp is NUMBERS or _is_integral(n, xp) else xp.astype(index, n.dtype)


def looked_up(values: Sequence[float], index: Any, n: Any, xp: Any) -> Any:
    """`values[index]`, in the dtype of the values of a schedule at `n`; in the dtype of `n` if all are integers."""
    if xp is NUMBERS:
        return values[index]
    integral = _is_integral(n, xp) and all(isinstance(value, int) for value in values)
    if integral:
        largest = int(reach(n, xp))
        values = [min(value, largest) for value in values]
    table = _array(values, n, xp, n.dtype if integral else value_dtype(n, xp))
    if is_torch_array(n) and index.ndim == 0:  # torch would read a single index, for which another device has to wait
        return table[index.reshape(1)].reshape(())
    return table[index]


def _array(values: Sequence[float], n: Any, xp: Any, dtype: Any) -> Any:
    return xp.asarray(values, dtype=dtype, device=n.device) if is_torch_array(n) else xp.asarray(values, dtype=dtype)


def value_dtype(n: Any, xp: Any) -> Any:
    """The dtype of the values of a schedule at `n`: that of `n` if it holds floats, or the default floating dtype."""
    return xp.asarray(0.0).dtype if _is_integral(n, xp) else n.dtype


def in_pieces(n: Any, pieces: Sequence[tuple[float, Formula]], xp: Namespace) -> Any:
    """Formulas one after the other. Each piece has the count at which it begins, and a formula that counts from there.

    If the range of the counts is known, formulas without a count are not evaluated. Otherwise all are evaluated at all
    counts, as tracing requires; the counts are clipped so that none is below 0.
    """
    low, high = known_range(n, xp)
    stops = [start for start, _ in pieces[1:]] + [math.inf]
    value = None
    for (start, formula), stop in zip(pieces, stops, strict=True):
        if low < stop and start <= high:
            inside = n if start == 0 else n - start if start <= low else xp.clip(n - start, 0, None)
            here = formula(inside, xp)
            value = here if value is None else xp.where(n < start, value, here)
    return value


def power(factor: float, exponent: Any) -> Any:
    """`factor ** exponent` for integer exponents, such as the indices of cycles."""
    if isinstance(exponent, np.ndarray) and exponent.size and exponent.dtype.kind == "i":
        low, high = int(exponent.min()), int(exponent.max())
        if high - low < exponent.size // 4:
            # Many updates share a cycle, and a power costs more than the rest of a formula: each is computed once.
            return (factor ** np.arange(low, high + 1))[exponent - low]
    return factor**exponent


def limited(value: Any, low: float | None, high: float | None, xp: Any) -> Any:
    """The value, or values, of a schedule within bounds."""
    if xp is NUMBERS and not isinstance(value, float):  # JAX traces a number that the schedule was built with
        xp = array_namespace(value)
    return xp.clip(value, low, high)


def blend(low: float, high: float, weight: Any) -> Any:
    """From `low` at weight 0 to `high` at weight 1.

    The sum of two products gives both ends exactly; `low + (high - low) * weight` does not. What a bound is equal to is not
    known if JAX traces it.
    """
    return high * weight if (low == 0) is True else low * (1 - weight) + high * weight


def in_blocks(formula: Formula, counts: np.ndarray) -> np.ndarray:
    """`formula(counts, numpy)`, evaluated in blocks."""
    flat = counts.reshape(-1)
    values = np.empty(flat.shape, value_dtype(counts, np))
    for first in range(0, len(flat), BLOCK):
        values[first : first + BLOCK] = formula(in_range(flat[first : first + BLOCK], np), np)
    return values.reshape(counts.shape)


MOST_EXAMINED = 1_000_000_000
"""Counts that are looked at one by one, which takes some ten seconds."""


def crossings(values: Callable[[np.ndarray], np.ndarray], levels: Sequence[float], limit: float) -> Iterator[int]:
    """The integer counts up to `limit` at which `values` is on another side of a level than at the count before.

    Raises:
        ArgumentError: if there are too many counts to look at each.
    """
    if limit > MOST_EXAMINED:
        checks.refuse("the last count to consider", f"at most {MOST_EXAMINED} for a clipped schedule", limit)
    for first in range(0, int(limit), BLOCK):
        counts = np.arange(first, min(first + BLOCK, int(limit)) + 1)
        block = values(counts)
        for level in levels:
            yield from (counts[1:][np.diff(block > level)]).tolist()


def ascending(counts: Iterable[float], limit: float) -> tuple[float, ...]:
    """Counts above 0 and up to a limit, sorted, without duplicates; whole numbers as ints."""
    return tuple(sorted({int(count) if float(count).is_integer() else count for count in counts if 0 < count <= limit}))
