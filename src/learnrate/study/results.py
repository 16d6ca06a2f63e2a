"""From what a store holds to a comparison."""

from collections.abc import Sequence

from learnrate.study.comparison import Comparison, Outcome, pairing_notes
from learnrate.study.run import TUNING, Chosen, Failure, Key
from learnrate.study.store import Contents
from learnrate.study.training import Training


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
    notes = (*pairing_notes(outcomes, hashes), *_failures(outcomes), *_own_notes(outcomes))
    until_sure = bool(contents.definition["until_sure"])
    return Comparison(int(contents.definition["updates"]), outcomes, notes, tuple(environments.values()), until_sure)


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
    )


def _failures(outcomes: Sequence[Outcome]) -> list[str]:
    return [f"{Key(arm.name, seed)} failed: {failure.error}" for arm in outcomes for seed, failure in arm.failures.items()]


def _own_notes(outcomes: Sequence[Outcome]) -> list[str]:
    """What trainings say of themselves; what all of them say, once."""
    keys: dict[str, list[Key]] = {}
    for arm in outcomes:
        for training in arm.trainings:
            for note in training.notes:
                keys.setdefault(note, []).append(Key(arm.name, training.seed))
    count = sum(len(arm.trainings) for arm in outcomes)
    shared = [f"every training: {note}" for note, of in keys.items() if len(of) == count > 1]
    return [*shared, *(f"{key}: {note}" for note, of in keys.items() if not len(of) == count > 1 for key in of)]
