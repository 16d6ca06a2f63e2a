"""The pictures of the page: each is drawn from the records, and names the records and the code that it was drawn from."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.choice.pictures import drawn_from
from benchmarks.choice.store import digest
from benchmarks.papers.experiments import EXPERIMENTS
from benchmarks.papers.report import draw, figure_3
from benchmarks.papers.report.claims import CLAIMS, deciding, verdicts
from benchmarks.papers.report.headline import foremost, headlines
from benchmarks.papers.report.results import Results
from learnrate.records import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CURVES = 5
"""Arms in one picture."""

FIGURE_1 = ("fixed", "exp", "triangular2")
FIGURE_5 = ("Adam, fixed", "Adam, triangular", "Nesterov, triangular")


Drawing = Callable[[], "Figure"]


@dataclass(frozen=True)
class Picture:
    """A picture.

    Attributes:
        title: What it shows, for those who do not see it.
        experiment: In whose section it is; None for the top of the page.
        drawing: From the records to what draws it; None where there are no records for it.
    """

    title: str
    experiment: str | None
    drawing: Callable[[Results], "Drawing | None"]


def _headline(results: Results) -> Drawing | None:
    shown = foremost(headlines(results))
    return None if shown is None else partial(draw.headline, shown)


def _claims(results: Results) -> Drawing | None:
    rows = [(claim, row) for claim in CLAIMS if (row := deciding(verdicts(results, claim))) is not None]
    return partial(draw.claims, rows) if rows else None


def _curves(name: str, arms: tuple[str, ...], until: int, results: Results) -> Drawing | None:
    measured = results.best(name)
    if measured is None:
        return None
    names = [arm for arm in arms or EXPERIMENTS[name].by_name(measured.scale) if measured.arm(arm) is not None]
    if not names or len(names) > MOST_CURVES:
        return None
    return partial(draw.curves, measured, names, until * measured.scale if until else None)


def _figure_3(results: Results) -> Drawing | None:
    measured = figure_3.range_tests(folder=results.folder)
    return partial(draw.figure_3, measured[0]) if measured else None


PICTURES: dict[str, Picture] = {
    "times-fewer": Picture("updates to the accuracy of a fixed LR", None, _headline),
    "claims": Picture("differences between arms, the paper's and ours", None, _claims),
    "figure-1": Picture(
        "accuracy against updates with a fixed LR, exp and triangular2",
        "clr-table-1",
        partial(_curves, "clr-table-1", FIGURE_1, 0),
    ),
    "figure-3": Picture("accuracy against a rising LR", None, _figure_3),
    "figure-5": Picture(
        "accuracy against updates: Adam with a fixed LR, Adam and Nesterov with cycles",
        "clr-table-3",
        partial(_curves, "clr-table-3", FIGURE_5, 25_000),
    ),
    **{
        name: Picture(f"accuracy against updates: {experiment.title}", name, partial(_curves, name, (), 0))
        for name, experiment in EXPERIMENTS.items()
        if name not in ("clr-table-3", "headline")
    },
}


def of(experiment: str | None, results: Results) -> list[str]:
    """Names of the pictures of an experiment for which there are records."""
    return [name for name, picture in PICTURES.items() if picture.experiment == experiment and picture.drawing(results)]


def named(results: Results) -> list[str]:
    """Names of all pictures for which there are records."""
    return [name for name, picture in PICTURES.items() if picture.drawing(results)]


def origin(results: Results) -> str:
    """A hash of the records and of the code that draws."""
    sha = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(results.folder.glob("*.json"))))
    return f"{sha.hexdigest()[:12]}+{digest(sorted(Path(__file__).parent.glob('*.py')))}"


def draw_all(results: Results, folder: Path) -> list[Path]:
    """Write the pictures whose records or code have changed; remove those without records."""
    folder.mkdir(parents=True, exist_ok=True)
    written, source = [], origin(results)
    for name, picture in PICTURES.items():
        path, drawing = folder / f"{name}.png", picture.drawing(results)
        if drawing is None:
            path.unlink(missing_ok=True)
        elif drawn_from(path) != source:
            png = io.BytesIO()
            drawing().savefig(png, format="png", metadata={"Source": source, "Software": None})
            write_atomically(path, png.getvalue())
            written.append(path)
    return written
