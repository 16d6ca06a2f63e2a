"""The result of a comparison: its arms with their trainings, and what follows from them."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from learnrate import checks, records
from learnrate.amounts import plural
from learnrate.errors import FailedTrainingsError, UnknownArmError
from learnrate.study.outcome import Cost, Outcome
from learnrate.study.report.tables import columns
from learnrate.study.running.run import Key
from learnrate.study.running.training import Training
from learnrate.study.statistics.difference import Difference
from learnrate.study.statistics.differences import differences, surely_best
from learnrate.study.statistics.speedup import Speedup, speedup
from learnrate.study.statistics.times import TimeToTarget, Unit, target_score, time_to_target
from learnrate.tables import as_csv, as_frame

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

LEVEL = 0.95
"""Of intervals, unless another level is given."""

PRINTED_NOTES = 5
"""Notes that `print(comparison)` shows; what failed must not be silent."""

KIND = "comparison"
"""What a file of `Comparison.save` says that it is."""

Each = Literal["training", "evaluation"]
"""What a row of a table is."""


@dataclass(frozen=True, repr=False)
class Comparison:
    """Arms that were trained with the same seeds.

    Attributes:
        updates: Length of a training in updates, unless an arm has its own.
        arms: One for each schedule.
        notes: Sentences that a reader has to know: arms of a seed that did not begin alike, for example.
        environments: The different sets of versions and hardware that the trainings were made with.
        anytime: Whether seeds were added until a difference was sure.
        in_progress: The runs that were being made when the study was read.

    Example:
        >>> def outcome(name, *scores):
        ...     trainings = [Training(seed, score, (0.5,), metric="accuracy") for seed, score in enumerate(scores)]
        ...     return Outcome(name, "constant(0.1)", 100, tuple(trainings))
        >>> comparison = Comparison(100, (outcome("wsd", 0.90, 0.92, 0.91), outcome("step", 0.80, 0.82, 0.82)))
        >>> comparison.best(), [round(end, 3) for end in comparison.differences()[0].interval]
        ('wsd', [0.082, 0.111])
    """

    updates: int
    arms: tuple[Outcome, ...]
    notes: tuple[str, ...] = ()
    environments: tuple[Mapping[str, str], ...] = ()
    anytime: bool = False
    in_progress: tuple[Key, ...] = ()

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Comparison":
        """Read a study, also while it is being made; or a comparison that `save` wrote.

        Args:
            path: The file or folder that was given as `study=`, or the file of `save`.

        Raises:
            ArgumentTypeError: if it is no path.
            OutputError: if it cannot be read, or is something else.

        Example:
            >>> import tempfile, learnrate as lr
            >>> from learnrate.study import Comparison, Outcome, Training
            >>> training = Training(0, 0.9, (0.5,), first_loss=0.5)
            >>> comparison = Comparison(100, (Outcome("wsd", "wsd(0.1, 100)", 100, (training,)),))
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     comparison.save(f"{folder}/comparison.json")
            ...     lr.Comparison.load(f"{folder}/comparison.json") == comparison
            True
        """
        from learnrate.study.results import read_study

        return read_study(path)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the comparison with every training as one file of JSON, which `load` reads.

        Raises:
            OutputError: if the file cannot be written.
        """
        records.save(path, KIND, self.as_record())

    @property
    def metric(self) -> str:
        """Name of what the scores are; "loss" for the training loss."""
        return next((training.metric for arm in self.arms for training in arm.trainings), "loss")

    @property
    def higher_is_better(self) -> bool:
        """Whether a higher score is better: of an evaluation it is, of the training loss it is not."""
        return self.metric != "loss"

    @property
    def score_title(self) -> str:
        """What the scores are, for headings: a metric is measured on held-out data, a loss on the training data."""
        if self.metric == "loss":
            return "training loss"
        return self.metric if "held-out" in self.metric else f"held-out {self.metric}"

    def __getitem__(self, name: str) -> Outcome:
        for arm in self.arms:
            if arm.name == name:
                return arm
        names = [arm.name for arm in self.arms]
        remedy = checks.did_you_mean(str(name), names, f"there are {', '.join(names)}")
        raise UnknownArmError(f"there is no arm {checks.shown(name)} in this comparison: {remedy}")

    def __iter__(self) -> Iterator[Outcome]:
        return iter(self.arms)

    def __len__(self) -> int:
        return len(self.arms)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds with which all arms were trained."""
        common = [set(arm.by_seed()) for arm in self.arms]
        return tuple(sorted(set.intersection(*common))) if common else ()

    def ranking(self) -> tuple[Outcome, ...]:
        """The arms with trainings, the best mean first; those whose mean is not finite last."""
        sign = -1.0 if self.higher_is_better else 1.0
        trained = [arm for arm in self.arms if arm.trainings]
        return tuple(sorted(trained, key=lambda arm: sign * arm.mean if np.isfinite(arm.mean) else np.inf))

    def differences(self, level: float = LEVEL) -> tuple[Difference, ...]:
        """The difference of every pair of arms, over the seeds that both have; see `learnrate.study.differences`.

        Args:
            level: Of the intervals, for example 0.95.

        Returns:
            A difference for every pair, in the order of the arms, in the unit of the scores.

        Raises:
            ArgumentError: if `level` is not strictly between 0 and 1.
            ArgumentTypeError: if it is no number.
        """
        scores = {arm.name: {training.seed: training.score for training in arm.trainings} for arm in self.arms}
        better = self.higher_is_better
        seeds = sorted({seed for arm in self.arms for seed in (*arm.by_seed(), *arm.failures) if seed >= 0})
        return differences(scores, seeds=seeds, higher_is_better=better, level=level, anytime=self.anytime)

    def best(self, level: float = LEVEL) -> str | None:
        """The arm that is surely better than every other one; None if there is none.

        Args:
            level: 1 minus the probability of a false claim, over all pairs of arms together.

        Raises:
            ArgumentError: if `level` is not strictly between 0 and 1.
            ArgumentTypeError: if it is no number.
        """
        return surely_best(self.differences(level))

    def times(self, target: float | str) -> dict[str, tuple[TimeToTarget, ...]]:
        """When each training reached a target, by arm, in the order of the seeds.

        Args:
            target: The metric to reach, or the name of an arm for the mean of its final scores.

        Returns:
            For each arm a time for each training, in updates, and in seconds of training if they were measured.

        Raises:
            ArgumentError: if it is neither, there were no evaluations, or it is reached before the first update.
        """
        goal = self.target(target)
        return {arm.name: tuple(self._time(training, arm.updates, goal) for training in arm.trainings) for arm in self.arms}

    def target(self, target: float | str) -> float:
        """A target as a number.

        Raises:
            ArgumentError: if it is neither a number nor the name of an arm.
        """
        return target_score(target, {arm.name: arm.scores for arm in self.arms})

    def _time(self, training: Training, planned: int, target: float) -> TimeToTarget:
        times = training.times if len(training.times) == len(training.scores) else None
        ended_early = training.updates < planned
        return time_to_target(
            training.checkpoints,
            training.scores,
            target,
            seconds=times,
            higher_is_better=self.higher_is_better,
            diverged=ended_early,
        )

    def speedup(self, first: str, second: str, target: float | str, unit: Unit = "updates") -> Speedup:
        """How many times fewer updates the first arm needs to reach a target than the second.

        Args:
            first: Name of an arm.
            second: Name of another.
            target: See `times`.
            unit: "updates" or "seconds".

        Returns:
            The ratio of the times of the second arm to those of the first, over the seeds that both have.

        Raises:
            ArgumentError: if the target is no target, there were no evaluations, or no seed has been trained with both.
            UnknownArmError: if there is no arm of a name.
        """
        goal = self.target(target)
        arms = [self[first], self[second]]
        seeds = sorted(arms[0].by_seed().keys() & arms[1].by_seed().keys())
        times = [[self._time(arm.by_seed()[seed], arm.updates, goal) for seed in seeds] for arm in arms]
        return speedup(*times, names=(first, second), unit=unit)

    @property
    def cost(self) -> Cost:
        """What all of it has cost."""
        costs = [arm.cost for arm in self.arms]
        return Cost(sum(cost.updates for cost in costs), sum(cost.seconds for cost in costs))

    def require_complete(self) -> None:
        """Refuse a comparison of which trainings raised errors.

        Raises:
            FailedTrainingsError: if there is one; it names the first, with its traceback as a note.
        """
        failures = [(Key(arm.name, seed), failure) for arm in self.arms for seed, failure in arm.failures.items()]
        if not failures:
            return
        key, failure = failures[0]
        more = f"; {plural(len(failures) - 1, 'further run')} failed" if len(failures) > 1 else ""
        error = FailedTrainingsError(f"{key} failed: {failure.error}{more}")
        error.add_note(failure.traceback)
        raise error

    def plot(self, target: float | str | None = None) -> "tuple[Axes, ...]":
        """Draw the learning curves, the differences to the best arm, and when the trainings reached a target.

        Args:
            target: See `times`; None to leave the last one out.

        Returns:
            The axes, from top to bottom; `axes[0].figure.savefig(path)` writes the figure.

        Raises:
            ArgumentError: if the target is no target.
            MissingExtraError: if matplotlib is not installed.
        """
        from learnrate.study.report.figure import draw_comparison

        return draw_comparison(self, target)

    def to_html(self, path: str | os.PathLike[str], target: float | str | None = None) -> None:
        """Write the comparison as one HTML page with its tables and figures, which loads nothing from elsewhere.

        Args:
            path: The file; an existing one is replaced.
            target: See `times`; None for no times to a target.

        Raises:
            ArgumentError: if the target is no target.
            MissingExtraError: if matplotlib is not installed.
            OutputError: if the file cannot be written.
        """
        from learnrate.study.report.page import write_comparison

        write_comparison(self, path, target)

    def to_pandas(self, each: Each = "training") -> "pd.DataFrame":
        """The comparison as a pandas DataFrame.

        Args:
            each: What a row is: a "training", or an "evaluation".

        Raises:
            ArgumentError: if `each` is another word.
            MissingExtraError: if pandas is not installed.
        """
        return as_frame(columns(self, each))

    def to_csv(self, path: str | os.PathLike[str], each: Each = "training") -> None:
        """Write the same table as CSV. Numbers have all digits.

        Raises:
            ArgumentError: if `each` is another word.
            OutputError: if the file cannot be written.
        """
        records.write_atomically(path, as_csv(columns(self, each)).encode("utf-8", "backslashreplace"))

    def log(self, tracker: Any, name: str = "study", *, run_id: str | None = None) -> None:
        """Write the comparison into a tracker: its facts, sentences, and the metrics of every training over its updates.

        Args:
            tracker: TensorBoard, W&B, MLflow or trackio; see `learnrate.logs.to`. trackio gets it before any other value.
            name: Comes before the name of each value: "study/wsd/seed 0/accuracy".
            run_id: The run, if `tracker` is an MlflowClient.

        Raises:
            ArgumentError: if `run_id` is missing for an MlflowClient, or is given for something else.
            ArgumentTypeError: if `tracker` is no tracker.
        """
        from learnrate.study.report.export import write

        write(self, tracker, name, run_id)

    def _repr_html_(self) -> str:
        """What a notebook shows: the differences, the notes, and the figure."""
        from learnrate.study.report.page import notebook

        return notebook(self)

    def __repr__(self) -> str:
        rows = [f"  {arm.name}: {arm.mean:.4g}{_spread_of(arm)}" for arm in self.ranking()]
        compared = [f"  {difference}" for difference in self.differences()]
        notes = [f"  note: {note}" for note in self.notes[:PRINTED_NOTES]]
        if len(self.notes) > PRINTED_NOTES:
            notes.append(f"  and {len(self.notes) - PRINTED_NOTES} more notes in .notes")
        title = f"Comparison of {plural(len(self.arms), 'arm')}, {self.score_title}"
        return "\n".join([title, *rows, *compared, *notes])

    def as_record(self) -> dict[str, Any]:
        """The comparison as JSON holds it, with the record of every training."""
        return {
            "metric": self.metric,
            "updates": self.updates,
            "anytime": self.anytime,
            "arms": {arm.name: arm.as_record() for arm in self.arms},
            "differences": [difference.as_record() for difference in self.differences()],
            "notes": list(self.notes),
            "environments": [dict(environment) for environment in self.environments],
        }


def _spread_of(arm: Outcome) -> str:
    number = len(arm.trainings)
    return " (1 seed)" if number == 1 else f" ± {arm.std:.2g} ({number} seeds)"


def pairing_notes(arms: Sequence[Outcome], recipes: Mapping[str, str]) -> tuple[str, ...]:
    """Where arms of one recipe and one seed did not begin alike.

    Args:
        arms: The arms.
        recipes: The hash of the recipe of each arm.

    Returns:
        A sentence for each seed at which weights or the loss of the first update differ: then something random in the recipe
        does not follow from the seed, and the comparison is not a paired one.
    """
    groups: dict[tuple[str, int], dict[tuple[str | None, float], list[str]]] = {}
    for arm in arms:
        for training in arm.trainings:
            beginnings = groups.setdefault((recipes.get(arm.name, ""), training.seed), {})
            beginnings.setdefault((training.start, training.first_loss), []).append(arm.name)
    differing = sorted({seed for (_, seed), beginnings in groups.items() if len(beginnings) > 1})
    if not differing:
        return ()
    seeds = checks.short(", ".join(map(str, differing)))
    return (
        f"the arms did not begin alike with seed {seeds}: weights or the loss of the first update differ, so that something "
        "random in the recipe does not follow from the seed",
    )
