"""The record of an experiment, from which docs/papers.md is made."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from learnrate import records
from learnrate.errors import ArgumentError
from learnrate.study import Comparison, Outcome
from learnrate.study.results import of_record

RESULTS = Path(__file__).parents[1] / "results" / "papers"

MOST_LOSSES = 100
"""Losses of a training in a record, each the mean of a part of it: enough for a picture."""


ON_GPU = "-gpu"
"""End of the name of a record whose trainings were made side by side on a GPU."""


def path_of(name: str, scale: float, folder: Path = RESULTS, on_gpu: bool = False) -> Path:
    """The file of an experiment at a scale."""
    return folder / f"{name}-{scale:g}{ON_GPU if on_gpu else ''}.json"


def write(name: str, scale: float, comparison: Comparison, folder: Path = RESULTS, on_gpu: bool = False) -> Path:
    """Write the trainings of an experiment that have ended; other arms and seeds in the file are kept.

    So an experiment may be run in parts on several machines that share no study.

    Raises:
        ArgumentError: if the file has trainings of an arm with another schedule or length.
    """
    folder.mkdir(parents=True, exist_ok=True)
    earlier = read(name, scale, folder, on_gpu)
    content = (comparison if earlier is None else _joined(of_record(earlier), comparison)).as_record()
    for arm in content["arms"].values():
        for training in arm["trainings"]:
            training["losses"], training["losses_every"] = _thinned(training["losses"], training["losses_every"])
            training["seconds"] = round(training["seconds"], 1)
            training["times"] = [round(seconds, 1) for seconds in training["times"]]
    path = path_of(name, scale, folder, on_gpu)
    text = json.dumps({"experiment": name, "scale": scale, **_without_host(content)}, indent=None)
    records.write_atomically(path, (text.replace('}, {"seed"', '},\n{"seed"') + "\n").encode())
    return path


def _thinned(losses: list[Any], every: int) -> tuple[list[Any], int]:
    """Means of several losses, so that few are left. A last one that is not finite stays as it is."""
    together = -(-len(losses) // MOST_LOSSES)
    if together <= 1:
        return losses, every
    values = [records.decode_float("loss", loss) for loss in losses]
    parts = [values[start : start + together] for start in range(0, len(values), together)]
    return [records.encode_float(round(sum(part) / len(part), 5)) for part in parts], every * together


def _without_host(content: dict[str, Any]) -> dict[str, Any]:
    """The record without the name of the machine."""
    environments = [{k: v for k, v in environment.items() if k != "host"} for environment in content["environments"]]
    distinct = [environment for number, environment in enumerate(environments) if environment not in environments[:number]]
    return {**content, "environments": distinct}


def read(name: str, scale: float, folder: Path = RESULTS, on_gpu: bool = False) -> dict[str, Any] | None:
    """The record of an experiment; None if it was not made at this scale."""
    path = path_of(name, scale, folder, on_gpu)
    return json.loads(path.read_text()) if path.exists() else None


def scales(name: str, folder: Path = RESULTS) -> list[float]:
    """The scales at which an experiment was made, the largest first."""
    parts = (path.stem.removeprefix(f"{name}-").removesuffix(ON_GPU) for path in folder.glob(f"{name}-*.json"))
    return sorted({float(scale) for scale in parts if re.fullmatch(r"\d+(\.\d+)?(e-\d+)?", scale)}, reverse=True)


def _joined(earlier: Comparison, later: Comparison) -> Comparison:
    """Two parts of an experiment as one. Of trainings that both have, those of the later part are taken."""
    arms = {arm.name: arm for arm in earlier}
    for arm in later:
        arms[arm.name] = arm if arm.name not in arms else _with_trainings_of(arms[arm.name], arm)
    environments = (
        *earlier.environments,
        *(environment for environment in later.environments if environment not in earlier.environments),
    )
    notes = (*earlier.notes, *(note for note in later.notes if note not in earlier.notes))
    return replace(
        later, updates=max(earlier.updates, later.updates), arms=tuple(arms.values()), notes=notes, environments=environments
    )


def _with_trainings_of(earlier: Outcome, later: Outcome) -> Outcome:
    if (earlier.schedule, earlier.updates) != (later.schedule, later.updates):
        raise ArgumentError(
            f"the record must have one schedule for arm {later.name!r}, it has {earlier.schedule} over {earlier.updates:,} "
            f"updates, received {later.schedule} over {later.updates:,}: move the old record away, or name another folder"
        )
    together = earlier.by_seed() | later.by_seed()
    failures = {seed: failure for seed, failure in earlier.failures.items() if seed not in together}
    return replace(
        later,
        trainings=tuple(together[seed] for seed in sorted(together)),
        chosen=later.chosen or earlier.chosen,
        failures=failures | dict(later.failures),
    )
