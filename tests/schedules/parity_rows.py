"""A row of the parity table, and the strategies for the settings of its schedulers."""

from dataclasses import dataclass, field

from hypothesis import strategies as st


@dataclass(frozen=True)
class Row:
    """A call of another library and the learnrate expression with the same values.

    Attributes:
        theirs: The call of the other library, with the names in `settings`.
        ours: The learnrate expression, with the same names.
        settings: A strategy for each name.
        updates: Number of updates that are compared, an expression with the same names: the whole run, and the updates after
            its end where the other library defines them.
        where: A condition on the settings.
        note: Where the other library is wrong, ambiguous or different.
        momentum: Whether the momentum is compared, not the LR.
    """

    theirs: str
    ours: str
    settings: dict[str, st.SearchStrategy] = field(default_factory=dict)
    updates: str = "100"
    where: str = "True"
    note: str = ""
    momentum: bool = False


lr = st.floats(1e-5, 1.0)
share = st.floats(0.0, 0.9)
factor = st.floats(0.1, 0.95)
near_one = st.floats(0.9, 0.999)
length = st.integers(1, 40)
exponent = st.floats(0.5, 3.0)


@st.composite
def ascending(draw):
    """Two or three milestones."""
    return sorted(draw(st.sets(st.integers(1, 60), min_size=2, max_size=3)))


@st.composite
def function_of_n(draw):
    """A function of a number, as users give it to LambdaLR."""
    k = draw(st.integers(1, 50))
    return draw(st.sampled_from([lambda n: 1 / (1 + n / k), lambda n: 0.5 if n < k else 0.1, lambda n: 0.95 ** (n // k)]))
