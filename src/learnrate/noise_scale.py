"""The noise scale of the gradient from the sums of gradients of many small batches."""

import math


def noise_scale_of(squares: float, square_of_sum: float, number: int, size: int) -> float | None:
    """The batch size in examples at which the noise of the gradient is as large as the gradient.

    tr(S) / |G|^2 (McCandlish et al., arXiv 1812.06162, section 2.2), by the unbiased estimates of both from the products of
    all pairs of gradients:

        tr(S) = size * (squares - square_of_sum / number) / (number - 1)
        |G|^2 = (square_of_sum - squares) / (number * (number - 1))

    Args:
        squares: The sum of the squared norms of the gradients.
        square_of_sum: The squared norm of their sum.
        number: Number of gradients, at least 2.
        size: Examples that each of them is the mean over.

    Returns:
        The noise scale, at most the number of examples; None if all gradients are 0, or one is not finite.

    Example:
        >>> noise_scale_of(squares=10.0, square_of_sum=16.0, number=2, size=4)
        2.6666666666666665
    """
    noise = size * (squares - square_of_sum / number) / (number - 1)
    signal = (square_of_sum - squares) / (number * (number - 1))
    if not math.isfinite(noise) or not math.isfinite(signal) or squares == 0:
        return None
    most = float(number * size)
    # The variance may be below 0 by rounding, where all gradients are the same.
    return most if signal <= 0 else min(max(noise, 0.0) / signal, most)
