"""Ctrl-C at every line between start and end of preserve, range_test, tune and probe loses nothing."""

import contextlib
import copy
import itertools
import os
import random
import signal

import numpy as np
import pytest
import torch
from torch import nn

import learnrate as lr
from interrupting import interrupted, lines_of
from learnrate.interrupts import Uninterrupted, within
from learnrate.trainable import Reading

SAMPLED = 5
"""Lines of each function at which it is interrupted, and as many among the last."""

GAPS = (1, 2, 3, 5, 10, 30, 100, 300)
"""Lines between two interrupts."""


@pytest.fixture(autouse=True)
def handler_of_python():
    """A shell lets what it starts in the background ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Small:
    """A training with everything that an interrupt may lose, as cheap as possible."""

    def __init__(self):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)
        self.attachment = lr.torch.attach(self.optimizer, lr=lr.constant(0.1))
        inputs = torch.randn(256, 2)
        self.batches = [(part, 10 + part.sum(1, keepdim=True)) for part in inputs.split(16)]
        for _ in range(2):
            self.update()

    def update(self):
        inputs, targets = self.batches[0]
        self.optimizer.zero_grad()
        self.loss(self.model, (inputs, targets)).backward()
        self.optimizer.step()

    def loss(self, model, batch):
        random.random(), np.random.rand()
        return (model(batch[0]) - batch[1]).square().mean()

    def preserve(self):
        with lr.torch.preserve(self.model, self.optimizer):
            torch.set_grad_enabled(True)
            self.update()
            self.model.eval()

    def range_test(self):
        return lr.torch.range_test(self.model, self.optimizer, self.batches, self.loss, updates=10, stop=None, seed=[1, 2])

    def tune(self):
        return lr.torch.tune(self.model, self.optimizer, self.batches, self.loss, updates=60, together=False)

    def probe(self):
        return lr.torch.probe(self.model, self.optimizer, self.batches, self.loss, updates=160)

    def state(self):
        def plain(value):
            if isinstance(value, torch.Tensor):
                return value.detach().numpy().tobytes()
            return {key: plain(entry) for key, entry in value.items()} if isinstance(value, dict) else copy.copy(value)

        parameters = list(self.model.parameters())
        return {
            "model": plain(dict(self.model.state_dict())),
            "gradients": [plain(p.grad) for p in parameters],
            "optimizer": [plain(self.optimizer.state[p]) for p in parameters],
            "lr": [group["lr"] for group in self.optimizer.param_groups],
            "modes": [module.training for module in self.model.modules()],
            "random": (random.getstate(), plain(torch.get_rng_state()), np.random.get_state()[1].tobytes()),
            "gradient mode": torch.is_grad_enabled(),
            "handler": signal.getsignal(signal.SIGINT),
            "counted": self.counted(),
        }

    def counted(self):
        """The number of updates that the attachment counts when the optimizer makes one, without gradients."""
        parameters, before = list(self.model.parameters()), self.attachment.updates
        gradients = [p.grad for p in parameters]
        self.optimizer.zero_grad()
        self.optimizer.step()
        for p, gradient in zip(parameters, gradients, strict=True):
            p.grad = gradient
        return self.attachment.updates - before


def every_line(function):
    """The first and the last time that each line is executed, as numbers for `interrupted`."""
    lines = lines_of(function)
    first = {line: number for number, line in reversed(list(enumerate(lines)))}
    last = {line: number for number, line in enumerate(lines)}
    return sorted({*first.values(), *last.values()})


def check(function, small, before, *numbers):
    outcome, sent = interrupted(function, *numbers)
    assert small.state() == before, numbers
    ended = isinstance(outcome, KeyboardInterrupt) or getattr(outcome, "ended", "") == "interrupted"
    ended = ended or any("interrupted" in note for note in getattr(outcome, "notes", ()))
    assert ended == (sent > 0), (numbers, outcome)


@pytest.mark.parametrize(
    "name", ["preserve", *(pytest.param(name, marks=pytest.mark.slow) for name in ("range_test", "tune", "probe"))]
)
def test_one_or_two_interrupts_at_any_line_lose_nothing(name):
    """At some lines, always the same; `EVERY_LINE=1` takes all, for minutes."""
    small = Small()
    function, before, draw = getattr(small, name), small.state(), random.Random(0)
    numbers = every_line(function)
    # Half of them where most depends on the moment: around the end.
    chosen = (
        numbers if "EVERY_LINE" in os.environ else [*draw.sample(numbers, SAMPLED), *draw.sample(numbers[-120:], SAMPLED)]
    )
    for number in chosen:
        check(function, small, before, number)
        check(function, small, before, number, number + draw.choice(GAPS))


def test_an_interrupt_waits_until_a_block_has_begun_and_ended():
    events = []

    @contextlib.contextmanager
    def manager():
        events.append("begun")
        try:
            yield
        finally:
            signal.raise_signal(signal.SIGINT)
            events.append("ended")

    with pytest.raises(KeyboardInterrupt):
        within(manager(), lambda _: events.append("work"))
    with pytest.raises(KeyboardInterrupt), Uninterrupted(manager()):
        events.append("work")
    assert events == ["begun", "work", "ended"] * 2


def test_an_interrupt_at_the_beginning_ends_it_without_the_block():
    events = []

    @contextlib.contextmanager
    def manager():
        signal.raise_signal(signal.SIGINT)
        events.append("begun")
        try:
            yield
        finally:
            events.append("ended")

    with pytest.raises(KeyboardInterrupt):
        within(manager(), lambda _: events.append("work"))
    with pytest.raises(KeyboardInterrupt), Uninterrupted(manager()):
        events.append("work")
    assert events == ["begun", "ended"] * 2


@pytest.mark.filterwarnings("ignore:.*iterator cannot be rewound")
def test_a_handler_of_the_users_own_gets_every_interrupt_and_stays(new_toy):
    calls = itertools.count()  # an iterator, because a list would be put back

    def own(number, frame):
        next(calls)

    def loss(model, batch):
        if next(updates) == 5:
            signal.raise_signal(signal.SIGINT)
        return toy.loss(model(batch[0]), batch[1])

    toy, updates, before = new_toy(), itertools.count(), signal.signal(signal.SIGINT, own)
    try:
        assert len(lr.torch.range_test(toy.model, toy.optimizer, toy.batches, loss, updates=10, stop=None)) == 10
        assert next(calls) == 1
        assert signal.getsignal(signal.SIGINT) is own
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_handler_that_is_installed_in_the_block_stays(new_toy):
    toy, before = new_toy(), signal.getsignal(signal.SIGINT)

    def own(number, frame):
        pass

    try:
        with lr.torch.preserve(toy.model, toy.optimizer):
            signal.signal(signal.SIGINT, own)
        assert signal.getsignal(signal.SIGINT) is own
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL])
def test_a_process_that_ignores_ctrl_c_still_does(new_toy, handler):
    toy, before = new_toy(), signal.signal(signal.SIGINT, handler)
    try:
        with lr.torch.preserve(toy.model, toy.optimizer):
            assert signal.getsignal(signal.SIGINT) is handler
            if handler is signal.SIG_IGN:
                signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_interrupt_is_not_lost_where_the_loss_has_just_diverged():
    class Diverging(lr.Trainable):
        """Losses are read eight at a time, so those that diverge are not read yet."""

        reading, updates = Reading(every=8, within=1e9), 0

        def update(self, lr):
            self.updates += 1
            if self.updates == 20:
                raise KeyboardInterrupt
            return 1.0 if self.updates < 18 else 1e9

        def save(self):
            return self.updates

        def restore(self, state):
            self.updates = state

    curve = lr.range_test(Diverging(), updates=30)
    assert curve.ended == "interrupted"
    with pytest.raises(KeyboardInterrupt):
        lr.tune(Diverging(), updates=200)


@pytest.mark.parametrize("end", ["normal", "error"])
def test_two_interrupts_at_any_two_lines_of_a_block_are_a_keyboard_interrupt_after_its_end(end):
    steps = []

    @contextlib.contextmanager
    def changed():
        steps.append("changed")
        try:
            yield
        finally:
            steps.append("put back")

    def work():
        with contextlib.suppress(ZeroDivisionError), Uninterrupted(changed()):
            _ = 1 / (end == "normal")

    lines = range(len(lines_of(work)) + 50)  # after the first interrupt there are more
    steps.clear()
    for numbers in itertools.combinations(lines, 2):
        result, sent = interrupted(work, *numbers)
        assert isinstance(result, KeyboardInterrupt) or not sent, numbers
        assert steps in ([], ["changed", "put back"]), numbers
        steps.clear()
