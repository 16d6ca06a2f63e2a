"""What the figures of Table 1 depend on: the table of the experiment clr-why."""

from collections.abc import Iterator

from benchmarks.papers.nets.variants import VARIANTS
from benchmarks.papers.report.claims import points
from benchmarks.papers.report.results import Measured, between
from benchmarks.papers.report.tables import accuracy, table

NAME = "clr-why"
USUAL = next(iter(VARIANTS))
"""The variant that the others are compared with."""


def differences(measured: Measured) -> Iterator[str]:
    """Accuracy of both rows with each variant, how the variant changes fixed, and how cycles differ from fixed with it."""
    rows, usual = [], measured.arm(f"fixed, {USUAL}")
    for variant in VARIANTS:
        fixed, cycles = (measured.arm(f"{row}, {variant}") for row in ("fixed", "triangular2"))
        moved = None if fixed is None or usual is None or variant == USUAL else between(fixed, usual)
        apart = None if fixed is None or cycles is None else between(cycles, fixed)
        rows.append(
            [
                variant,
                accuracy(fixed),
                accuracy(cycles),
                *("" if difference is None else points(difference) for difference in (moved, apart)),
            ]
        )
    yield from [f"At {measured.title}; points with their 95 % interval.", ""]
    yield from table(("", "fixed", "triangular2", f"fixed, minus {USUAL}", "triangular2 minus fixed"), rows)
