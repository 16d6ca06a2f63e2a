"""What the signs of paired differences alone say: where a difference has no size, because a training has diverged."""

import math


def p_value(wins: int, losses: int) -> float:
    """Two-sided sign test: how probable this ratio of wins, or a more extreme one, is under no difference.

    Source: Conover, Practical Nonparametric Statistics (1999), 3.4.

    Example:
        >>> p_value(5, 0)
        0.0625
    """
    trials = wins + losses
    tail = sum(math.comb(trials, k) for k in range(max(wins, losses), trials + 1))
    two_sided: float = 2 * tail / 2**trials
    return min(1.0, two_sided)


def probability(wins: int, losses: int) -> float:
    """Posterior probability that a win is more frequent than a loss, under Jeffreys' prior Beta(1/2, 1/2).

    Source: Brown, Cai and DasGupta, Interval estimation for a binomial proportion, Statistical Science 16 (2001).

    Example:
        >>> probability(0, 0), round(probability(3, 0), 3)
        (0.5, 0.967)
    """
    # The incomplete beta function I(1/2; a, b) by its recurrences (Abramowitz and Stegun 26.5.16), from I(1/2; 1/2, 1/2).
    below, a, b = 0.5, 0.5, 0.5
    for _ in range(wins):
        below -= math.exp(_log_step(a, b) - math.log(a))
        a += 1
    for _ in range(losses):
        below += math.exp(_log_step(a, b) - math.log(b))
        b += 1
    return min(1.0, max(0.0, 1 - below))


def _log_step(a: float, b: float) -> float:
    return math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) - (a + b) * math.log(2)


def log_evidence(wins: int, losses: int) -> float:
    """Logarithm of the evidence that wins and losses are not equally frequent.

    Under no difference its exponential exceeds 1 / alpha at any time with a probability of at most alpha: it is the
    likelihood under the prior Beta(1/2, 1/2) over the likelihood of a fair coin, a martingale (Krichevsky and Trofimov,
    The performance of universal encoding, IEEE Transactions on Information Theory 27, 1981).

    Example:
        >>> round(math.exp(log_evidence(7, 0)), 1)
        26.8
    """
    trials = wins + losses
    mixture = math.lgamma(wins + 0.5) + math.lgamma(losses + 0.5) - math.log(math.pi) - math.lgamma(trials + 1)
    return trials * math.log(2) + mixture
