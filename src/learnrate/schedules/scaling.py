"""Rules that adapt the LR to another batch size, and state the reason."""

from dataclasses import dataclass

from learnrate import checks


@dataclass(frozen=True)
class ScaledLR:
    """A learning rate for another batch size. `float(scaled)` is the number.

    Attributes:
        lr: The new LR.
        reason: The rule and the numbers, in one sentence.
    """

    lr: float
    reason: str

    def __float__(self) -> float:
        return self.lr


def linear_scaling(lr: float, batch_size: int, base_batch_size: int) -> ScaledLR:
    """The linear rule: lr * batch_size / base_batch_size (Goyal et al., arXiv 1706.02677, section 2.1). For SGD.

    Args:
        lr: The LR for `base_batch_size`, above 0.
        batch_size: The new batch size, over all workers.
        base_batch_size: The batch size of `lr`.

    Raises:
        ArgumentError: if a number is not above 0, or the new LR is 0 or infinite in double precision.

    Example:
        >>> linear_scaling(0.1, batch_size=1024, base_batch_size=256)
        ScaledLR(lr=0.4, reason='LR 0.1 at batch size 256 becomes 0.4 at 1024: a factor of 4, by the linear rule.')
    """
    return _scaled(lr, batch_size, base_batch_size, 1.0, "by the linear rule")


def sqrt_scaling(lr: float, batch_size: int, base_batch_size: int) -> ScaledLR:
    """The square-root rule: lr * sqrt(batch_size / base_batch_size) (Krizhevsky, arXiv 1404.5997, section 5).

    For adaptive optimizers such as Adam (Malladi et al., arXiv 2205.10287).

    Args:
        lr: The LR for `base_batch_size`, above 0.
        batch_size: The new batch size, over all workers.
        base_batch_size: The batch size of `lr`.

    Raises:
        ArgumentError: if a number is not above 0, or the new LR is 0 or infinite in double precision.

    Example:
        >>> sqrt_scaling(0.1, batch_size=1024, base_batch_size=256).lr
        0.2
    """
    return _scaled(lr, batch_size, base_batch_size, 0.5, "by the square-root rule")


def inverse_sqrt_scaling(k: float, batch_size: int) -> ScaledLR:
    """The rule of thumb k / sqrt(batch_size), which lowers the LR for larger batches.

    Args:
        k: The LR at batch size 1, above 0.
        batch_size: The batch size, over all workers.

    Raises:
        ArgumentError: if a number is not above 0, or the new LR is 0 or infinite in double precision.

    Example:
        >>> inverse_sqrt_scaling(1.0, batch_size=16).lr
        0.25
    """
    return _scaled(checks.positive("k", k), batch_size, 1, -0.5, "by k / sqrt(batch size)")


def _scaled(lr: float, batch_size: int, base_batch_size: int, power: float, rule: str) -> ScaledLR:
    lr = checks.positive("lr", lr)
    batch_size, base = checks.length("batch_size", batch_size), checks.length("base_batch_size", base_batch_size)
    ratio = batch_size / base
    factor = ratio**power
    new = checks.positive("the scaled LR", lr * factor)  # neither infinite nor 0 in double precision
    return ScaledLR(new, f"LR {lr:g} at batch size {base} becomes {new:g} at {batch_size}: a factor of {factor:g}, {rule}.")
