"""The runner trains trials, one by one or as one batch, and counts what they cost. It decides nothing else."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from learnrate.trainable import NOISE_BATCHES, Ensemble, Metrics, NotBatchableError, Trainable, first_finite, scores
from learnrate.tuner.budget import OUT_OF_TIME, Spending
from learnrate.tuner.families import Family
from learnrate.tuner.search import Proposal, Stop
from learnrate.tuner.side_by_side import Guess, SideBySide, guesses, noise_cost
from learnrate.tuner.thresholds import THRESHOLDS
from learnrate.tuner.trials import Start, Trial, squeezed
from learnrate.tuner.worker import Outcome
from learnrate.updates import Check, Progress, StopReason, UpdateLoop, raise_if_interrupted

DIVERGED = StopReason("diverged", "the loss diverged")

Evaluation = float | Mapping[str, float] | None
"""What `Trainable.evaluate` returns."""


@dataclass
class Runner:
    """Trains trials from one start.

    Attributes:
        trainable: What is trained.
        state: The state, from `trainable.save()`, that every trial starts from.
        spending: The budget; updates are counted here.
        start: The model in this state.
        horizon: Length of the whole run in updates.
        progress: Called after every update with (updates spent, updates of the budget).
        trials: All trials so far, in their order.
        batches: How many times several trials were trained as one batch.
        not_batchable: Why trials were trained one by one; empty if they were not.
        cut_trials: Number of trials that ended without a result because the time was over.
        unscored: Number of evaluations that gave no finite number.
        noise_scale: See `learnrate.Trainable.noise_scale`; None if it is not known.
        noise_measured: Whether that was asked for.
        side_by_side: The executor that trains the trials; None to train them here.
    """

    trainable: Trainable
    state: Any
    spending: Spending
    start: Start
    horizon: int
    progress: Progress | None = None
    trials: list[Trial] = field(default_factory=list)
    batches: int = 0
    not_batchable: str = ""
    cut_trials: int = 0
    unscored: int = 0
    noise_scale: float | None = None
    noise_measured: bool = False
    side_by_side: SideBySide | None = None

    def search(
        self,
        propose: Callable[[Sequence[Trial], int], Proposal | Stop],
        family: Family,
        name: str = "",
        reserve: int = 0,
    ) -> tuple[list[Trial], Stop]:
        """Run what is proposed until nothing is, or until the budget does not cover it.

        Args:
            propose: From the trials so far, and the updates that remain for others, to the next trials; see `search`.
            family: The schedules.
            name: The name of the family.
            reserve: Updates of the budget that must remain.

        Returns:
            The trials, and why there are no more.
        """
        trials: list[Trial] = []
        while isinstance(proposal := propose(trials, self._remaining(reserve)), Proposal):
            ahead = self._ahead(propose, trials, proposal, name, reserve)
            results = self.run(proposal, family, name, reserve, ahead)
            trials += results
            if len(results) < len(proposal.max_lrs):
                return trials, self._too_expensive(proposal)
        return trials, proposal

    def _ahead(
        self,
        propose: Callable[[Sequence[Trial], int], Proposal | Stop],
        trials: Sequence[Trial],
        proposal: Proposal,
        name: str,
        reserve: int,
    ) -> list[Guess]:
        """The trials that the search may want after those of a proposal, for workers that have nothing to do meanwhile."""
        if self.side_by_side is None:
            return []
        remaining = self._remaining(reserve) - noise_cost(self.noise_measured)
        return guesses(proposal, trials, remaining, propose, self.start, self.side_by_side.workers, name)

    def _remaining(self, reserve: int) -> int:
        return max(0, self.spending.remaining() - reserve)

    def _too_expensive(self, proposal: Proposal) -> Stop:
        is_late = self.trainable.agree(self.spending.out_of_time()) is not None
        limit = "time limit was reached before another trial" if is_late else "budget does not cover another trial"
        lrs = ", ".join(f"{max_lr:.2g}" for max_lr in proposal.max_lrs)
        return Stop(f"the {limit} of {proposal.updates} updates, at LR {lrs} ({proposal.purpose})")

    def run(
        self, proposal: Proposal, family: Family, name: str = "", reserve: int = 0, ahead: Sequence[Guess] = ()
    ) -> list[Trial]:
        """Train with the schedules of a family, shortened to the length of the trials.

        Args:
            proposal: The trials.
            family: The schedules.
            name: The name of the family.
            reserve: Updates of the budget that must remain.
            ahead: What may be wanted after them, which an executor may begin.

        Returns:
            The trials that have a result: all, unless the budget or the time does not cover them.
        """
        max_lrs = proposal.max_lrs[: self._remaining(reserve) // proposal.updates]
        results = self._as_one_batch(proposal, max_lrs, family, name)
        if results is None and self.side_by_side is not None:
            results = self._by_workers(proposal, max_lrs, family, name, reserve, ahead)
        elif results is None:
            results = self._one_by_one(proposal, max_lrs, family, name, reserve)
        self.trials += results
        return results

    def can_batch(self) -> bool:
        """Whether several trials are trained as one batch; if not, `not_batchable` says why."""
        try:
            self.trainable.restore(self.state)
            self.trainable.ensemble(2)
        except NotBatchableError as error:
            self.not_batchable = str(error)
        return not self.not_batchable

    def _one_by_one(
        self, proposal: Proposal, max_lrs: Sequence[float], family: Family, name: str, reserve: int
    ) -> list[Trial]:
        results: list[Trial] = []
        for max_lr in max_lrs:
            if self._remaining(reserve) < proposal.updates:
                break
            self.trainable.restore(self.state)
            losses = Losses(proposal.updates, self.start, _deepest_fall([*self.trials, *results], self.start))
            reason = self._train(squeezed(family(max_lr), proposal.updates, self.horizon), losses)
            if reason and reason.ended == OUT_OF_TIME.ended:  # its text may name the process whose time was over
                self.cut_trials += 1
                break
            evaluation = None if reason else self.trainable.evaluate()
            results.append(self._result(proposal, max_lr, name, losses, reason, evaluation))
            if not results[-1].diverged:
                self._measure_noise(reserve)
        return results

    def _by_workers(
        self,
        proposal: Proposal,
        max_lrs: Sequence[float],
        family: Family,
        name: str,
        reserve: int,
        ahead: Sequence[Guess],
    ) -> list[Trial]:
        """As `_one_by_one`, but the executor trains. The trials are judged here, in the order of the proposal."""
        assert self.side_by_side is not None
        results: list[Trial] = []
        wanted = [Guess(max_lr, proposal.updates, name) for max_lr in max_lrs]
        for number, guess in enumerate(wanted):
            if self._remaining(reserve) < proposal.updates:
                break
            outcome = self.side_by_side.outcome(
                guess,
                (*wanted[number + 1 :], *ahead),
                lambda max_lr, updates: squeezed(family(max_lr), updates, self.horizon),
                not self.noise_measured and self._noise_is_cheap,
            )
            losses = Losses(proposal.updates, self.start, _deepest_fall([*self.trials, *results], self.start))
            reasons = (losses.watch(math.nan, {"loss": loss}) for loss in outcome.losses)
            reason = next((reason for reason in reasons if reason), outcome.ended)
            self.spending.spent += len(losses.values)
            if self.progress is not None:
                self.progress(self.spending.spent, self.spending.budget.updates)
            evaluation = None if reason else outcome.evaluation
            results.append(self._result(proposal, guess.max_lr, name, losses, reason, evaluation))
            if not results[-1].diverged:
                self._measure_noise(reserve, outcome)
        return results

    @property
    def _noise_is_cheap(self) -> bool:
        return THRESHOLDS.noise_share * self.horizon >= NOISE_BATCHES

    def _measure_noise(self, reserve: int, outcome: Outcome | None = None) -> None:
        """Measure the noise scale of the gradient, once, at the end of a trial; see `Plan.carry`."""
        if self.noise_measured or not self._noise_is_cheap:
            return
        self.noise_measured = True
        if self._remaining(reserve) >= NOISE_BATCHES:
            self.noise_scale = self.trainable.noise_scale() if outcome is None else outcome.noise_scale
            self.spending.spent += NOISE_BATCHES if self.noise_scale is not None else 0

    def _train(self, lrs: Sequence[float], losses: "Losses") -> StopReason | None:
        spent, total = self.spending.spent, self.spending.budget.updates
        progress = self.progress

        def on_update(updates: int) -> None:
            if progress is not None:
                progress(spent + updates, total)

        loop = UpdateLoop(self.trainable, losses.watch, self._check(), None if progress is None else on_update)
        try:
            reason = loop.run(lrs)
        finally:
            self.spending.spent += loop.updates
        raise_if_interrupted(reason)
        return reason

    def _as_one_batch(self, proposal: Proposal, max_lrs: Sequence[float], family: Family, name: str) -> list[Trial] | None:
        """The trials of one batch; None if they must be trained one by one."""
        if len(max_lrs) < 2 or self.not_batchable:
            return None
        try:
            self.trainable.restore(self.state)
            ensemble = self.trainable.ensemble(len(max_lrs))
            deepest = _deepest_fall(self.trials, self.start)
            members = [
                Member(Losses(proposal.updates, self.start, deepest), squeezed(family(lr), proposal.updates, self.horizon))
                for lr in max_lrs
            ]
            if self._train_together(ensemble, members):
                self.cut_trials += len(members)
                return []
            running = any(member.ended is None for member in members)
            evaluations = ensemble.evaluate() if running else [None] * len(members)
        except NotBatchableError as error:
            self.not_batchable = str(error)
            return None
        self.batches += 1
        return [
            self._result(proposal, max_lr, name, member.losses, member.ended, evaluation)
            for max_lr, member, evaluation in zip(max_lrs, members, evaluations, strict=True)
        ]

    def _train_together(self, ensemble: Ensemble, members: "Sequence[Member]") -> StopReason | None:
        """Train until all members have ended; the reason if the time was over before that."""
        check = self._check()
        for update in range(members[0].losses.updates):
            if check is not None and (reason := self.trainable.agree(check())):
                return reason
            metrics = ensemble.update([None if member.ended else member.lrs[update] for member in members])
            for member, row in zip(members, metrics, strict=True):
                if member.ended is None:
                    member.ended = member.losses.watch(member.lrs[update], row)
                    self.spending.spent += 1
                    if self.progress is not None:
                        self.progress(self.spending.spent, self.spending.budget.updates)
            if all(member.ended for member in members):
                break
        return None

    def _check(self) -> Check | None:
        return self.spending.out_of_time if self.spending.budget.is_timed else None

    def _result(
        self,
        proposal: Proposal,
        max_lr: float,
        name: str,
        losses: "Losses",
        ended: StopReason | None,
        evaluation: Evaluation,
    ) -> Trial:
        values, updates = losses.values, proposal.updates
        # If updates were skipped until the end of the trial, its gradients were not finite.
        finite = ended in (None, DIVERGED) and math.isfinite(values[-1])
        highest = max(values) if finite else math.inf
        if ended:
            return Trial(max_lr, updates, len(values), math.inf, None, name, proposal.purpose, highest_loss=highest)
        metrics = scores(evaluation)
        score = first_finite(metrics)
        self.unscored += bool(metrics) and score is None
        final = np.minimum(values[-max(1, updates // THRESHOLDS.final_part) :], self.start.loss)
        loss = float(final.mean())
        return Trial(max_lr, updates, updates, loss, score, name, proposal.purpose, tuple(final.tolist()), highest)


@dataclass
class Losses:
    """The losses of a trial, and whether it diverged.

    Attributes:
        updates: Planned length of the trial.
        start: The model before any training.
        deepest_fall: How far any trial so far came below the start.
        values: The losses.
    """

    updates: int
    start: Start
    deepest_fall: float
    values: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        thresholds, loss = THRESHOLDS, self.start.loss
        least = max(thresholds.divergence_noise * self.start.noise, thresholds.divergence_rise * abs(loss))
        self._limit = loss + max(self.deepest_fall, least)
        self._judged_from = max(self.updates // 2 + 1, thresholds.divergence_from)
        self._window = thresholds.divergence_window

    def watch(self, lr: float, metrics: Metrics) -> StopReason | None:
        """Add the loss of an update; a reason if the trial diverged with it.

        It diverged if its loss is not finite; or if in its second half the loss is as far above the start as any trial has
        come below it.
        """
        loss = metrics["loss"]
        self.values.append(loss)
        if not math.isfinite(loss):
            return DIVERGED
        if len(self.values) < self._judged_from:
            return None
        # The median; sorting five numbers takes a fiftieth of the time of numpy.median.
        median = sorted(self.values[-self._window :])[self._window // 2]
        return DIVERGED if median > self._limit else None


@dataclass
class Member:
    """One trial of a batch.

    Attributes:
        losses: Its losses.
        lrs: The LR of each update.
        ended: Why it has ended.
    """

    losses: Losses
    lrs: Sequence[float]
    ended: StopReason | None = None


def _deepest_fall(trials: Sequence[Trial], start: Start) -> float:
    return max((0.0, *(start.loss - trial.loss for trial in trials if not trial.diverged)))
