"""Ctrl-C, once or twice, at any line between start and end of range_test, tune, probe and preserve: all is given back."""

import importlib
import random
import signal
from contextlib import suppress
from functools import cache
from typing import Any

import torch
from fuzz_findings import Finding
from fuzz_give_back import MODELS, OPTIMIZERS, fingerprint, train

import learnrate as lr
from learnrate.errors import LearnrateError

FUNCTIONS = ("range_test", "tune", "probe", "preserve")


def injector() -> Any:
    """Sends Ctrl-C at a line of learnrate: the module `interrupting` of tests/support, where there is one."""
    return importlib.import_module("interrupting")


def task(function: str, model_name: str, optimizer_name: str) -> tuple[Any, Any, Any]:
    """A model and an optimizer that were trained a little, and a call that trains and gives back."""
    torch.manual_seed(0)
    model = MODELS[model_name]()
    batches = [(torch.randn(8, 4), torch.randint(0, 2, (8,))) for _ in range(6)]
    optimizer = OPTIMIZERS[optimizer_name]([p for p in model.parameters() if p.requires_grad])
    train(model, optimizer, batches)
    loss = torch.nn.CrossEntropyLoss()

    def call() -> None:
        with suppress(LearnrateError):  # no answer, in so few updates
            train_and_give_back()

    def train_and_give_back() -> None:
        if function == "preserve":
            with lr.torch.preserve(model, optimizer):
                train(model, optimizer, batches)
        elif function == "range_test":
            lr.torch.range_test(model, optimizer, batches, loss, updates=10)
        elif function == "probe":
            lr.torch.probe(model, optimizer, batches, loss, updates=100)
        else:
            lr.torch.tune(model, optimizer, batches, loss, updates=100, budget="60 updates")

    return model, optimizer, call


@cache
def lines(function: str, model_name: str, optimizer_name: str) -> tuple[tuple[int, ...], ...]:
    """For each line of learnrate that the call executes the numbers of its executions, counted over all lines."""
    numbers: dict[Any, list[int]] = {}
    task(function, model_name, optimizer_name)[2]()  # imports what the first call alone imports
    for number, line in enumerate(injector().lines_of(task(function, model_name, optimizer_name)[2])):
        numbers.setdefault(line, []).append(number)
    return tuple(map(tuple, numbers.values()))


def case(draw: random.Random) -> Finding | None:
    chosen = draw.choice(FUNCTIONS), draw.choice(("linear", "batch norm and dropout")), draw.choice(("momentum", "Adam"))
    # Each line is as likely as the others: those of the loop, which most executions are of, are few.
    executions = draw.choice(lines(*chosen))
    first = draw.choice((executions[0], executions[-1], draw.choice(executions)))
    # The second one soon after the first: while all is given back.
    numbers = (first,) if draw.random() < 0.5 else (first, first + 1 + int(draw.expovariate(1 / 30)))
    model, optimizer, call = task(*chosen)
    before = fingerprint(model, optimizer)
    # A shell lets what it starts in the background ignore Ctrl-C.
    of_process, handler = signal.signal(signal.SIGINT, signal.default_int_handler), signal.default_int_handler
    try:
        result, sent = injector().interrupted(call, *numbers)
    except Exception as error:
        return Finding(f"{chosen}, Ctrl-C at the lines {numbers}: {type(error).__name__}: {error}", str(chosen))
    finally:
        present = signal.signal(signal.SIGINT, of_process)
    changed = [name for name, value in fingerprint(model, optimizer).items() if before.get(name) != value]
    if present != handler:
        changed.append("the handler of Ctrl-C")
    if chosen[0] == "preserve" and sent and not isinstance(result, KeyboardInterrupt):
        changed.append("nothing, but Ctrl-C is lost")
    return Finding(f"{chosen}, Ctrl-C at the lines {numbers}, changed: {changed[:10]}", str(chosen)) if changed else None
