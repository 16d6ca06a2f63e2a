"""Trials that an executor trains side by side, with the same choice as one after the other.

A search decides after each trial which one is next. While a trial is in progress, free workers train those that the search
would propose next if this trial is good, bad or diverges. What the search proposes afterwards is as without an executor; a
trial that it does not propose is no evidence, and does not count as spent.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from learnrate import checks
from learnrate.errors import ArgumentError
from learnrate.origin import packed
from learnrate.trainable import NOISE_BATCHES, Metrics, Trainable
from learnrate.tuner import worker
from learnrate.tuner.search import Proposal, Stop
from learnrate.tuner.thresholds import THRESHOLDS
from learnrate.tuner.trials import Start, Trial
from learnrate.updates import UpdateLoop, raise_if_interrupted

WORKERS = 4
"""Trials in progress at most on an executor that does not say how many workers it has: the trials that a search may want
next, whatever the present one gives, are hardly more."""

SAME = 1e-4
"""Relative difference up to which two losses are the same: processes with other numbers of threads round differently."""

Propose = Callable[[Sequence[Trial], int], Proposal | Stop]
"""From the trials so far, and the updates that remain, to the next trials."""

Lrs = Callable[[float, int], Sequence[float]]
"""From a max_lr and a length to the LR of each update of a trial."""


class TrialFuture(Protocol):
    """The result of a call that may not have ended yet."""

    def done(self) -> bool:
        """Whether it has ended."""

    def result(self) -> Any:
        """What the call returned, or raises what it raised. It waits for the end."""

    def cancel(self) -> object:
        """End the call, if that is possible."""


class TrialExecutor(Protocol):
    """What trains trials: one of `learnrate.study.executors`, of `concurrent.futures`, a client of Dask, and so on."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> TrialFuture:
        """Call a function somewhere, and return the future of its result."""


@dataclass(frozen=True)
class Guess:
    """A trial that a search may want: max_lr, length, and name of the family of its schedule."""

    max_lr: float
    updates: int
    family: str = ""


@dataclass
class SideBySide:
    """The trials that an executor trains.

    Attributes:
        executor: The executor; it stays open.
        source: What workers build the training from.
        first_loss: The loss of the first update here, which must be that of every worker.
        workers: Number of trials in progress at most.
        used: Number of trials that the search has asked for.
        not_needed: Number of further trials that were begun for a result that was not needed.
        not_needed_updates: Their updates in all.
    """

    executor: TrialExecutor
    source: bytes
    first_loss: float
    workers: int
    used: int = 0
    not_needed: int = 0
    not_needed_updates: int = 0
    _futures: dict[Guess, TrialFuture] = field(default_factory=dict)

    @classmethod
    def of(cls, executor: TrialExecutor, trainable: Trainable, first_loss: float) -> "SideBySide":
        """For a training.

        Raises:
            ArgumentTypeError: if the training cannot be brought to another process.
        """
        return cls(executor, packed(trainable), first_loss, _workers(executor))

    @contextmanager
    def ended(self) -> Iterator[None]:
        """At the end, give back what was submitted and is not needed."""
        try:
            yield
        finally:
            self.not_needed += len(self._futures)
            self.not_needed_updates += sum(guess.updates for guess in self._futures)
            for future in self._futures.values():
                future.cancel()
            self._futures.clear()
            worker.forget()

    def outcome(self, wanted: Guess, others: Sequence[Guess], lrs: Lrs, with_noise_scale: bool) -> worker.Outcome:
        """The outcome of a trial. Others are begun in its time.

        Args:
            wanted: The trial.
            others: What else may be wanted, the likeliest first.
            lrs: Their LRs.
            with_noise_scale: Whether to measure the noise scale at the end of those that are begun now.

        Raises:
            ArgumentError: if the worker has built another training.
        """
        in_progress = sum(not future.done() for future in self._futures.values())
        for guess in (wanted, *others):
            if guess in self._futures or (guess is not wanted and in_progress >= self.workers):
                continue
            task = list(lrs(guess.max_lr, guess.updates))
            self._futures[guess] = self.executor.submit(worker.train, self.source, task, with_noise_scale)
            in_progress += 1
        outcome: worker.Outcome = self._futures[wanted].result()
        del self._futures[wanted]
        self.used += 1
        if outcome.losses and not _same(outcome.losses[0], self.first_loss):
            raise ArgumentError(
                f"a worker must build the training that is tuned, but its first loss is {outcome.losses[0]:.6g} there "
                f"and {self.first_loss:.6g} here: tune what a recipe has just made, and let everything random in it "
                "follow from its seed"
            )
        return outcome

    def reason(self) -> str:
        """How the trials were trained, in a sentence."""
        text = f"An executor trained the trials, up to {self.workers} side by side"
        if self.not_needed:
            text += (
                f"; trials begun before it was clear that they were not needed: {self.not_needed} "
                f"({self.not_needed_updates} updates), which count neither as evidence nor as cost"
            )
        return f"{text}."


def check_executor(executor: object) -> None:
    """Refuse what is no executor.

    Raises:
        ArgumentTypeError: if it has no `submit`.
    """
    if executor is not None and not callable(getattr(executor, "submit", None)):
        remedy = f"learnrate.study.executors.Processes({executor if type(executor) is int else ''}) is one"
        checks.refuse_type("executor", "an object with submit(function, *arguments)", executor, remedy)


def guesses(
    proposal: Proposal,
    trials: Sequence[Trial],
    remaining: int,
    propose: Propose,
    start: Start,
    most: int,
    family: str = "",
) -> list[Guess]:
    """The trials that a search may want next, the likeliest first.

    Args:
        proposal: What it wants now.
        trials: The trials so far.
        remaining: Updates that remain before those of the proposal.
        propose: The search.
        start: The model before any training.
        most: The number of trials that are wanted at most.
        family: The name of the family.
    """
    likely = [Guess(max_lr, proposal.updates, family) for max_lr in proposal.max_lrs]
    states = [(proposal, list(trials), remaining)]
    for proposed, so_far, left in states:
        if len(likely) >= most:
            break
        left -= len(proposed.max_lrs) * proposed.updates
        for outcome in _OUTCOMES:
            later = list(so_far)
            for max_lr in proposed.max_lrs:
                later.append(outcome(Guess(max_lr, proposed.updates), later, start))
            following = propose(later, left)
            if isinstance(following, Proposal) and following.updates <= left:
                states.append((following, later, left))
                new = [Guess(max_lr, following.updates, family) for max_lr in following.max_lrs]
                likely += [guess for guess in new if guess not in likely]
    return likely[len(proposal.max_lrs) :][: max(0, most - len(proposal.max_lrs))]


def _better(guess: Guess, trials: Sequence[Trial], start: Start) -> Trial:
    return _imagined(guess, trials, start, 0.1)


def _worse(guess: Guess, trials: Sequence[Trial], start: Start) -> Trial:
    return _imagined(guess, trials, start, -0.1)


def _diverged(guess: Guess, trials: Sequence[Trial], start: Start) -> Trial:
    return Trial(guess.max_lr, guess.updates, guess.updates, math.inf)


_OUTCOMES = (_better, _worse, _diverged)
"""What a trial may show: an imagined trial from its LR and length, the trials so far, and the start."""


def _imagined(guess: Guess, trials: Sequence[Trial], start: Start, more: float) -> Trial:
    """A trial that learns more or less than the best one of its length, by this share; the first one halves the loss."""
    peers = [trial for trial in trials if trial.updates == guess.updates and not trial.diverged]
    if not peers:
        loss = start.loss - (0.5 + more) * abs(start.loss)
        count = max(1, guess.updates // THRESHOLDS.final_part)
        return Trial(guess.max_lr, guess.updates, guess.updates, loss, None, "", "", (loss,) * count, start.loss)
    best = min(peers, key=lambda trial: trial.loss)
    change = more * (start.loss - best.loss)
    losses = tuple(loss - change for loss in best.final_losses)
    return replace(best, max_lr=guess.max_lr, loss=best.loss - change, final_losses=losses)


def first_loss_of(trainable: Trainable, lr: float) -> float:
    """The loss of the next update, for comparison with workers. It costs an update, which is not part of the budget."""
    losses: list[float] = []

    def watch(_: float, metrics: Metrics) -> None:
        losses.append(metrics["loss"])

    raise_if_interrupted(UpdateLoop(trainable, watch).run([lr]))
    return losses[0]


def noise_cost(is_measured: bool) -> int:
    """Updates that the measurement of the noise scale will cost."""
    return 0 if is_measured else NOISE_BATCHES


def _same(loss: float, other: float) -> bool:
    return math.isclose(loss, other, rel_tol=SAME) or (math.isnan(loss) and math.isnan(other))


def _workers(executor: object) -> int:
    for name in ("workers", "_max_workers", "max_workers"):  # of learnrate, of concurrent.futures, of submitit
        number = getattr(executor, name, None)
        if isinstance(number, int) and number > 0:
            return number
    return WORKERS
