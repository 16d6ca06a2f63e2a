"""From what a store or a file holds to a comparison."""

import math
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from learnrate import checks, records
from learnrate.errors import OutputError
from learnrate.study.comparison import KIND, Comparison, pairing_notes
from learnrate.study.outcome import Outcome
from learnrate.study.running.run import TUNING, Chosen, Failure, Key
from learnrate.study.running.training import Training
from learnrate.study.store import Contents
from learnrate.study.store.opened import opened

SQLITE = b"SQLite format 3\0"
"""How a database of sqlite begins."""


def comparison_of(contents: Contents, arms: Sequence[str] | None = None) -> Comparison:
    """The comparison of a study.

    Args:
        contents: All that is stored.
        arms: The arms that are wanted, in their order; None for all.
    """
    defined = contents.definition["arms"]
    names = list(defined) if arms is None else list(arms)
    outcomes = tuple(_outcome(name, defined[name], contents) for name in names)
    hashes = {name: str(defined[name]["source"]) for name in names}
    environments = {tuple(sorted(run.environment.items())): run.environment for run in contents.runs.values()}
    notes = (*_metrics(outcomes), *pairing_notes(outcomes, hashes), *_failures(outcomes))
    notes = (*notes, *_not_finite(outcomes), *_own_notes(outcomes))
    until_sure = bool(contents.definition["until_sure"])
    in_progress = tuple(key for key in contents.in_progress if key.arm in names)
    return Comparison(
        updates=int(contents.definition["updates"]),
        arms=outcomes,
        notes=notes,
        environments=tuple(environments.values()),
        anytime=until_sure,
        in_progress=in_progress,
    )


def read_study(study: str | os.PathLike[str]) -> Comparison:
    """The comparison of a study on disk, also of one that is being made.

    Args:
        study: Its file or folder; or what `Comparison.save` wrote.

    Raises:
        ArgumentTypeError: if it is no path.
        OutputError: if it cannot be read, or is something else.
    """
    path = checks.path("study", study)
    beginning = _beginning(path) if path.is_file() else b""
    if beginning.startswith(b"{"):
        return records.load(path, KIND, of_record)
    if beginning not in (SQLITE, b""):
        raise OutputError(f"{checks.shown(str(path))} is not a study: it begins with {checks.shown(beginning[:6])}")
    with opened(path, to_read=True) as store:
        return comparison_of(store.contents())


def _beginning(path: Path) -> bytes:
    """The first bytes of a file."""
    try:
        with path.open("rb") as file:
            return file.read(len(SQLITE))
    except OSError as error:
        raise OutputError(f"cannot read the study {path}: {error.strerror or error}") from error


def of_record(record: Mapping[str, Any]) -> Comparison:
    """The comparison of `Comparison.as_record`.

    Raises:
        ArgumentError: if a field is missing or breaks its rule.
        ArgumentTypeError: if a field has the wrong type.
    """
    fields = records.Fields(record)
    arms = fields.read("arms", checks.instance(Mapping, "an object"))
    texts = checks.several(checks.text)
    return Comparison(
        updates=fields.read("updates", checks.length),
        arms=tuple(records.nested(partial(_outcome_of, name))(f"arms.{name}", arm) for name, arm in arms.items()),
        notes=fields.read("notes", texts),
        environments=tuple(dict(environment) for environment in fields.read("environments", _objects)),
        anytime=fields.read("anytime", _flag),
    )


def _flag(name: str, value: object) -> bool:
    checks.flag(name, value)
    return bool(value)


def _objects(name: str, value: object) -> tuple[Mapping[str, Any], ...]:
    return checks.several(checks.instance(Mapping, "an object"), "objects")(name, value)


def _outcome_of(name: str, record: Any) -> Outcome:
    fields = records.Fields(record)
    chosen = fields["chosen"]
    failures = fields.read("failures", checks.instance(Mapping, "an object"))
    return Outcome(
        name=name,
        schedule=fields.read("schedule", checks.text),
        updates=fields.read("updates", checks.length),
        trainings=tuple(map(Training.of_record, fields.read("trainings", _objects))),
        chosen=None if chosen is None else Chosen(**{**chosen, "reasons": tuple(chosen["reasons"])}),
        failures={int(seed): Failure(str(error)) for seed, error in failures.items()},
        recipe=fields.read("recipe", checks.text),
        source=fields.read("source", checks.text),
    )


def _outcome(name: str, arm: dict[str, object], contents: Contents) -> Outcome:
    results = {key.seed: stored.result for key, stored in contents.runs.items() if key.arm == name}
    chosen = results.pop(TUNING, None)
    failures = {seed: result for seed, result in sorted(results.items()) if isinstance(result, Failure)}
    if isinstance(chosen, Failure):
        failures[TUNING] = chosen
    trainings = tuple(result for _, result in sorted(results.items()) if isinstance(result, Training))
    schedule = chosen.schedule if isinstance(chosen, Chosen) else str(arm["schedule"])
    return Outcome(
        name=name,
        schedule=schedule,
        updates=int(str(arm["updates"])),
        trainings=trainings,
        chosen=chosen if isinstance(chosen, Chosen) else None,
        failures=failures,
        recipe=str(arm["recipe"]),
        source=str(arm["source"]),
    )


def _failures(outcomes: Sequence[Outcome]) -> list[str]:
    """What failed: a sentence for each error, because a fault of a recipe is that of every run."""
    failed: dict[str, list[Key]] = {}
    for arm in outcomes:
        for seed, failure in arm.failures.items():
            failed.setdefault(failure.error, []).append(Key(arm.name, seed))
    return [
        f"{keys[0]} failed: {error}" if len(keys) == 1 else f"{len(keys)} runs failed, {keys[0]} the first of them: {error}"
        for error, keys in failed.items()
    ]


def _metrics(outcomes: Sequence[Outcome]) -> list[str]:
    """That the scores are of several metrics, which cannot be compared."""
    owners: dict[str, Key] = {}
    for arm in outcomes:
        for training in arm.trainings:
            owners.setdefault(training.metric, Key(arm.name, training.seed))
    if len(owners) < 2:
        return []
    names = checks.short("; ".join(f"{metric} ({key})" for metric, key in owners.items()), 200)
    return [f"the scores are not comparable: they are of {len(owners)} metrics, {names}"]


def _not_finite(outcomes: Sequence[Outcome]) -> list[str]:
    """Scores that are not finite although nothing ended the training: the evaluation may be at fault, not the LR."""
    sound = [
        (Key(arm.name, training.seed), training)
        for arm in outcomes
        for training in arm.trainings
        if not math.isfinite(training.score) and training.scores and all(map(math.isfinite, training.losses))
    ]
    if not sound:
        return []
    key, training = sound[0]
    who = str(key) if len(sound) == 1 else f"{len(sound)} trainings, {key} the first of them,"
    return [f"{who} ended with a {training.metric} of {training.score} although each loss is finite: look at evaluate"]


def _own_notes(outcomes: Sequence[Outcome]) -> list[str]:
    """The notes of trainings, each once with the trainings that have it."""
    owners: dict[str, list[Key]] = {}
    for arm in outcomes:
        for training in arm.trainings:
            for note in training.notes:
                owners.setdefault(note, []).append(Key(arm.name, training.seed))
    return [f"{keys[0] if len(keys) == 1 else f'{len(keys)} trainings'}: {note}" for note, keys in owners.items()]
