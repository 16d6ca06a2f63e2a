"""What a user wants to know about a curve at a glance: its `repr`, and the facts of its notebook form."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from learnrate.finder.curve import Curve

MOST_NOTES = 3
MOST_NAMES = 6
WIDTH = 120
"""Characters of one fact: a name or a note that a user wrote may be of any length."""


def title(curve: "Curve") -> str:
    """One line: the length of the curve and its LRs."""
    lrs = f", LR {curve.lrs[0]:.2g} to {curve.lrs[-1]:.2g}" if len(curve) else ""
    return f"Curve of {len(curve)} updates{lrs}"


def facts(curve: "Curve") -> list[tuple[str, str]]:
    """Further facts, each with its name: at most ten, each of one line."""
    rows = [("loss", _loss(curve)), ("ended", "swept (all LRs were tried)" if curve.ended == "swept" else curve.ended)]
    if curve.sweeps:
        rows.append(("sweeps", f"mean of {len(curve.sweeps)}"))
    if curve.seeds:
        rows.append(("seeds", _listed(curve.seeds)))
    if curve.metrics:
        rows.append(("metrics", _listed(curve.metrics)))
    if curve.updates_per_epoch is not None:
        rows.append(("epoch", f"{curve.updates_per_epoch} updates"))
    if curve.skipped:
        rows.append(("skipped", f"{len(curve.skipped)} updates, by the gradient scaler"))
    rows += [("note", note) for note in curve.notes[:MOST_NOTES]]
    if len(curve.notes) > MOST_NOTES:
        rows[-1] = ("note", f"{len(curve.notes) - MOST_NOTES + 1} more in the attribute notes")
    return [(name, _shortened(value)) for name, value in rows]


def text(curve: "Curve") -> str:
    """The `repr` of a curve."""
    return "\n".join([title(curve), *(f"  {name + ':':<8} {value}" for name, value in facts(curve))])


def _loss(curve: "Curve") -> str:
    finite = curve.finite()
    if not len(finite):
        return "no finite loss"
    lowest = int(finite.losses.argmin())
    not_finite = len(curve) - len(finite)
    return (
        f"{curve.losses[0]:.3g} to {curve.losses[-1]:.3g}, lowest {finite.losses[lowest]:.3g} at LR {finite.lrs[lowest]:.2g}"
        + (f", {not_finite} not finite" if not_finite else "")
    )


def _shortened(value: str) -> str:
    line = " ".join(value.split())
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 4]} ..."


def _listed(values: Iterable[object]) -> str:
    names = list(map(str, values))
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more
