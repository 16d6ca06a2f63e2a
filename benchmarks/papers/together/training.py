"""The trainings of one experiment, side by side, with the records that single trainings have."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from benchmarks.papers.data import cifar10
from benchmarks.papers.data.batches import mean_image
from benchmarks.papers.together.ensemble import Ensemble
from benchmarks.papers.together.members import Beginning, Member, beginning, rows_of
from benchmarks.papers.together.net import Convolution, stacked
from learnrate.study import Training
from learnrate.study.running.training import Course

Say = Callable[[str], object]


@dataclass(frozen=True)
class Setting:
    """How the trainings are made.

    Attributes:
        device: Where.
        convolution: How convolutions are computed.
        batch: Images in a batch.
        evaluate_every: Updates between two evaluations.
        graphs: Whether updates are recorded as CUDA graphs.
        deadline: `time.monotonic()` after which trainings are left unfinished.
        notes: For the record of each training.
    """

    device: torch.device
    convolution: Convolution
    batch: int = 100
    evaluate_every: int = 500
    graphs: bool = False
    deadline: float = math.inf
    notes: tuple[str, ...] = ()


class Together:
    """Members in training.

    Args:
        members: Those with the same optimizer next to each other.
        setting: How.
        say: Called with a line if CUDA graphs cannot be recorded.
    """

    def __init__(self, members: Sequence[Member], setting: Setting, say: Say) -> None:
        self.setting, self.say = setting, say
        data = cifar10()
        self.test = data.test.to(setting.device)
        self.seeds = list(dict.fromkeys(member.seed for member in members))
        self.beginnings: dict[int, Beginning] = {seed: beginning(seed, setting.batch) for seed in self.seeds}
        weights = stacked([self.beginnings[member.seed].net for member in members], setting.device)
        train, mean = data.train.to(setting.device), mean_image(data.train).to(setting.device)
        convolution = setting.convolution
        self.ensemble = Ensemble(members, weights, train, mean, setting.batch, self.seeds, convolution)
        self.courses = {member: self._course(member) for member in members}
        self.diverged: dict[Member, int] = {}
        longest = max(member.row.updates for member in members)
        lrs = np.zeros((longest, len(members)), np.float32)
        for place, member in enumerate(members):
            lrs[: member.row.updates, place] = member.lrs()
        self.lrs = torch.from_numpy(lrs).to(setting.device)
        self.updates_made, self.seconds = 0, 0.0
        self._rows = self._next_rows()
        self._record_graph()

    def _course(self, member: Member) -> Course:
        return Course(member.row.updates, start=self.beginnings[member.seed].fingerprint)

    def _next_rows(self) -> Iterator[Tensor]:
        while True:
            yield from rows_of(self.beginnings.values(), self.setting.device)

    def _record_graph(self) -> None:
        if not self.setting.graphs:
            return
        try:
            self.ensemble.record_graph(torch.zeros_like(self.ensemble.rows))
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            self.say(f"no CUDA graph can be recorded ({reason}): updates are launched one by one, which is slower")
            self.setting = replace(self.setting, graphs=False)

    def run(self) -> Iterator[tuple[Member, Training]]:
        """Train; yields each member when it has ended. After the deadline nothing more is trained."""
        while self.ensemble.members and time.monotonic() < self.setting.deadline:
            self._updates(self._next_event() - self.updates_made)
            self._evaluate()
            ended = {place for place, member in enumerate(self.ensemble.members) if self._is_over(member)}
            for place in sorted(ended):
                member = self.ensemble.members[place]
                yield member, self._training(member)
            if ended:
                left = [place for place in range(len(self.ensemble.members)) if place not in ended]
                self.lrs, self.ensemble = self.lrs[:, left], self.ensemble.without(ended)
                if left:
                    self._record_graph()

    def _next_event(self) -> int:
        """The update after which something is due: an evaluation, or the end of a member."""
        every = self.setting.evaluate_every
        ends = [member.row.updates for member in self.ensemble.members]
        return min([(self.updates_made // every + 1) * every, *ends])

    def _updates(self, number: int) -> None:
        start = time.perf_counter()
        losses = torch.empty(number, len(self.ensemble.members), device=self.lrs.device)
        for count in range(number):
            losses[count].copy_(self.ensemble.update(next(self._rows), self.lrs[self.updates_made + count]))
        values = losses.tolist()  # waits for the device
        self.updates_made += number
        self.seconds += (time.perf_counter() - start) / len(self.ensemble.members)
        for place, member in enumerate(self.ensemble.members):
            course = self.courses[member]
            for row in values:
                if member in self.diverged:
                    break
                course.add_loss(row[place])
                if not math.isfinite(row[place]):
                    self.diverged[member] = course.updates
            course.seconds = self.seconds

    def _evaluate(self) -> None:
        """Measure the members for which it is time; the others wait for their own."""
        accuracies, is_time = self.ensemble.accuracies(self.test), self.updates_made % self.setting.evaluate_every == 0
        for member, accuracy in zip(self.ensemble.members, accuracies, strict=True):
            if not is_time and not self._is_over(member):
                continue
            course = self.courses[member]
            course.checkpoints.append(course.updates)
            course.times.append(course.seconds)
            course.evaluations.append({"accuracy": accuracy})

    def _is_over(self, member: Member) -> bool:
        return member in self.diverged or self.updates_made >= member.row.updates

    def _training(self, member: Member) -> Training:
        notes = self.setting.notes
        if member in self.diverged:
            planned = member.row.updates
            notes = (*notes, f"ended after {self.diverged[member]} of {planned} updates: the loss is not finite")
        return self.courses[member].record(member.seed, repr(member.row.schedule), None, notes)


def seconds_an_update(members: Sequence[Member], setting: Setting, say: Say) -> float:
    """Seconds of one update of all these members, with reading its losses. The trainings made for this are discarded."""
    trial = Together(members, setting, say)
    updates = min(30, len(trial.lrs) // 2) if setting.device.type == "cuda" else 1
    trial._updates(updates)  # not counted: algorithms are chosen
    start = time.perf_counter()
    trial._updates(updates)
    return (time.perf_counter() - start) / updates


def expected_seconds(members: Sequence[Member], an_update: float) -> float:
    """Seconds of all trainings: the time of an update is taken as proportional to the number of members in training."""
    return an_update * sum(member.row.updates for member in members) / len(members)
