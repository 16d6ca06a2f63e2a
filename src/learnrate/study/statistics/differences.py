"""The differences of all pairs of arms, and which arm is surely the best."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from learnrate import checks
from learnrate.errors import ArgumentError
from learnrate.study.statistics.difference import Difference
from learnrate.study.statistics.paired import adjusted, difference


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjust p-values for their number, so that 0.05 bounds the probability of any false claim among them.

    Args:
        p_values: One for each comparison. They need not be independent.

    Returns:
        The adjusted p-values, in the same order.

    Raises:
        ArgumentError: if one is below 0, above 1 or NaN.
        ArgumentTypeError: if one is no number.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6 (1979).

    Example:
        >>> holm([0.01, 0.04, 0.03])
        (0.03, 0.06, 0.06)
    """
    values = checks.several(checks.number, "numbers")("p_values", p_values)
    for index, value in enumerate(values):
        if not 0 <= value <= 1:
            checks.refuse(f"p_values[{index}]", "between 0 and 1", value)
    result, largest = [0.0] * len(values), 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        largest = max(largest, min(1.0, (len(values) - rank) * values[index]))
        result[index] = largest
    return tuple(result)


def differences(
    scores: Mapping[str, Mapping[int, float]],
    *,
    seeds: Sequence[int] | None = None,
    higher_is_better: bool = True,
    level: float = 0.95,
    anytime: bool = False,
) -> tuple[Difference, ...]:
    """Compare every arm with every other one.

    The p-values are adjusted for all pairs together, by Holm's method; the intervals are those of single pairs. With
    `anytime` the error rate is shared equally among the pairs, for p-values and intervals alike.

    Args:
        scores: For each arm the score of every seed that it has been trained with so far.
        seeds: In the order in which they were planned; by default in the order of their first appearance in `scores`. With
            `anytime` only the seeds before the first that one of the two arms lacks count, because a training that diverges
            ends early, and early results alone would contain too many of them.
        higher_is_better: False for losses.
        level: Of the intervals.
        anytime: Whether seeds are added until a difference is sure.

    Returns:
        A difference for every pair, in the order of the arms.

    Raises:
        ArgumentError: if an arm has a seed that is not in `seeds`, or an argument is out of its range.
        ArgumentTypeError: if an argument is of the wrong type.

    Example:
        >>> scores = {
        ...     "wsd": {0: 0.91, 1: 0.92, 2: 0.92},
        ...     "cosine": {0: 0.90, 1: 0.90, 2: 0.91},
        ...     "constant": {0: 0.80, 1: 0.82, 2: 0.81},
        ... }
        >>> [(compared.first, compared.second, compared.better) for compared in differences(scores)]
        [('wsd', 'cosine', None), ('wsd', 'constant', 'wsd'), ('cosine', 'constant', 'cosine')]
    """
    for name, by_seed in checks.instance(Mapping, "a mapping from the names of arms to scores")("scores", scores).items():
        checks.instance(Mapping, "a mapping from seeds to scores")(f"scores[{name!r}]", by_seed)
        checks.several(checks.seed)(f"the seeds of scores[{name!r}]", list(by_seed))
    present = dict.fromkeys(seed for by_seed in scores.values() for seed in by_seed)
    planned = list(present) if seeds is None else list(dict.fromkeys(checks.several(checks.seed)("seeds", seeds)))
    if missing := [seed for seed in present if seed not in set(planned)]:
        raise ArgumentError(f"seeds must be all that scores has, received {checks.shown(planned)}: add {missing[0]}")
    pairs = list(combinations(scores, 2))
    compared = []
    for first, second in pairs:
        either = [seed for seed in planned if seed in scores[first] or seed in scores[second]]
        both = [seed for seed in either if seed in scores[first] and seed in scores[second]]
        if anytime:
            both = both[: next((index for index, seed in enumerate(planned) if seed not in both), len(both))]
        result = difference(
            [scores[first][seed] for seed in both],
            [scores[second][seed] for seed in both],
            names=(first, second),
            higher_is_better=higher_is_better,
            level=level,
            comparisons=len(pairs) if anytime else 1,
            anytime=anytime,
        )
        compared.append(replace(result, comparisons=len(pairs), unpaired=len(either) - len(both)))
    if anytime:
        return tuple(compared)
    p_values = holm([result.p_value for result in compared])
    return tuple(adjusted(result, p_value) for result, p_value in zip(compared, p_values, strict=True))


def surely_best(compared: Sequence[Difference]) -> str | None:
    """The arm that is surely better than every other one.

    Args:
        compared: The differences of all pairs of arms.

    Returns:
        Its name; None if there is none.

    Raises:
        ArgumentTypeError: if `compared` is no sequence of differences.

    Example:
        >>> scores = {"wsd": {0: 0.910, 1: 0.913, 2: 0.911}, "cosine": {0: 0.900, 1: 0.902, 2: 0.901}}
        >>> surely_best(differences(scores))
        'wsd'
    """
    compared = checks.several(checks.instance(Difference, "a Difference"), "Difference")("compared", compared)
    names = dict.fromkeys(name for pair in compared for name in (pair.first, pair.second))
    for name in names:
        own = [pair for pair in compared if name in (pair.first, pair.second)]
        if all(pair.better == name for pair in own):
            return name
    return None
