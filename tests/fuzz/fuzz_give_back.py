"""Give-back: models, optimizers, functions and ways to end. All that training changes is the same afterwards, byte for byte."""

import math
import random
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from fuzz_findings import Finding, finding
from torch import nn

import learnrate as lr
from wrapped import SAM, Lookahead, Prepared


class InjectedError(Exception):
    """What a user's own code raises."""


def recurrent() -> nn.Module:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.head = nn.LSTM(4, 3, batch_first=True), nn.Linear(3, 2)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.head(self.lstm(inputs.unsqueeze(1))[0][:, 0])

    return Recurrent()


def tied() -> nn.Module:
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    return nn.Sequential(first, nn.Tanh(), second, nn.Linear(4, 2))


def partly_frozen() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    model[0].requires_grad_(False)
    return model


def with_buffers() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    model.register_buffer("count", torch.zeros((), dtype=torch.int64))
    model.register_buffer("part", torch.arange(12.0).reshape(3, 4).t()[1:])
    model.register_forward_pre_hook(lambda module, inputs: module.count.add_(1) and None)
    return model


def former(norm: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """A model with a norm whose weight is an attribute that each forward pass replaces."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.Sequential(norm(nn.Linear(4, 8)), nn.Linear(8, 2))


class Counting(nn.Linear):
    """State in places of its own: extra state, an attribute, a running mean without a buffer."""

    def __init__(self) -> None:
        super().__init__(4, 2)
        self.calls, self.mean, self.history = 0, torch.zeros(2), [0.0]
        self.extra: dict[str, Any] = {"calls": 0}

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs = super().forward(inputs)
        self.calls += 1
        self.mean.lerp_(outputs.detach().mean(0).to(self.mean.dtype), 0.1)
        self.history.append(float(outputs.detach().mean()))
        self.extra["calls"] += 1
        return outputs

    def get_extra_state(self) -> Any:
        return dict(self.extra)

    def set_extra_state(self, state: Any) -> None:
        self.extra = dict(state)


def expanded() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    model.register_buffer("wide", torch.zeros(1).expand(1000))
    model.register_buffer("last", None, persistent=False)
    model[0].weight = nn.Parameter(torch.randn(4, 8).t())
    return model


MODELS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(4, 2),
    "batch norm and dropout": lambda: nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 2)),
    "weight norm": lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 8)), nn.Linear(8, 2)),
    "spectral norm": lambda: nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(4, 8)), nn.Linear(8, 2)),
    "double precision": lambda: nn.Sequential(nn.Linear(4, 2), nn.Tanh()),
    "recurrent": recurrent,
    "tied": tied,
    "partly frozen": partly_frozen,
    "buffers": with_buffers,
    "former weight norm": lambda: former(nn.utils.weight_norm),
    "former spectral norm": lambda: former(nn.utils.spectral_norm),
    "state of its own": Counting,
    "strides": expanded,
}

OPTIMIZERS: dict[str, Callable[[list[nn.Parameter]], Any]] = {
    "SGD": lambda parameters: torch.optim.SGD(parameters, 0.01),
    "momentum": lambda parameters: torch.optim.SGD(parameters, 0.01, momentum=0.9, nesterov=True),
    "Adam": lambda parameters: torch.optim.Adam(parameters, 0.01),
    "AdamW": lambda parameters: torch.optim.AdamW(parameters, torch.tensor(0.01), amsgrad=True, foreach=False),
    "Adagrad": lambda parameters: torch.optim.Adagrad(parameters, 0.01),
    "RMSprop": lambda parameters: torch.optim.RMSprop(parameters, 0.01, centered=True),
    "Adadelta": lambda parameters: torch.optim.Adadelta(parameters, 0.01),
    "NAdam": lambda parameters: torch.optim.NAdam(parameters, 0.01),
    "Rprop": lambda parameters: torch.optim.Rprop(parameters, 0.01),
    "LBFGS": lambda parameters: torch.optim.LBFGS(parameters, 0.01, max_iter=2),
    "groups": lambda parameters: torch.optim.SGD([{"params": [p], "lr": 0.01 * (i + 1)} for i, p in enumerate(parameters)]),
    "prepared": lambda parameters: Prepared(torch.optim.Adam(parameters, 0.01)),
    "lookahead": lambda parameters: Lookahead(torch.optim.SGD(parameters, 0.01, momentum=0.9)),
    "SAM": lambda parameters: SAM(parameters, torch.optim.SGD, lr=0.01, momentum=0.9),
    "two": lambda parameters: [torch.optim.Adam(parameters[:1], 0.01), torch.optim.SGD(parameters[1:], 0.01)],
}

ENDS = ("normal", "error", "interrupt", "not finite", "diverged", "out of time", "out of batches", "stopped")

FUNCTIONS = ("range_test", "tune", "probe", "preserve")


def case(draw: random.Random) -> Finding | None:
    model_name, optimizer_name = draw.choice(list(MODELS)), draw.choice(list(OPTIMIZERS))
    function, end, last = draw.choice(FUNCTIONS), draw.choice(ENDS), draw.randrange(1, 25)
    if (model_name, optimizer_name) == ("strides", "LBFGS"):  # it needs parameters without gaps
        optimizer_name = "SGD"
    torch.manual_seed(draw.randrange(1000))
    np.random.seed(draw.randrange(1000))
    model = MODELS[model_name]()
    batches = [(torch.randn(8, 4), torch.randint(0, 2, (8,))) for _ in range(6)]
    if model_name == "double precision":
        model, batches = model.double(), [(inputs.double(), targets) for inputs, targets in batches]
    optimizer = OPTIMIZERS[optimizer_name]([p for p in model.parameters() if p.requires_grad])
    if draw.random() < 0.7:
        train(model, optimizer, batches)
    if draw.random() < 0.3:
        model.eval()
    before = fingerprint(model, optimizer)

    def call() -> None:
        with suppress(InjectedError, KeyboardInterrupt):
            run(function, end, last, model, optimizer, batches, draw)

    result = finding(call)
    changed = [name for name, value in fingerprint(model, optimizer).items() if before.get(name) != value]
    if result is None and changed:
        result = Finding(f"changed: {', '.join(changed[:10])}", f"{function}, {model_name}, {optimizer_name}")
    return result and result.of(f"{function} of {model_name} with {optimizer_name}, end: {end} at {last}")


def run(function: str, end: str, last: int, model: Any, optimizer: Any, batches: Any, draw: random.Random) -> None:
    updates = 0

    def loss(model: nn.Module, batch: Any) -> torch.Tensor:
        nonlocal updates
        updates += 1
        value = nn.functional.cross_entropy(model(batch[0]), batch[1])
        if updates >= last:
            if end == "error":
                raise InjectedError
            if end == "interrupt":
                raise KeyboardInterrupt
            if end == "not finite":
                return value * math.nan
        return value

    arguments: dict[str, Any] = {"copy_to": draw.choice(("auto", "cpu", "disk"))}
    if isinstance(optimizer, SAM):
        arguments["closure"] = True
    if end == "diverged":
        arguments["high"] = 1e6
    if function == "preserve":
        with lr.torch.preserve(model, optimizer, loss):
            train(model, optimizer, batches, loss)
        return
    if function == "probe":
        options = {"copy_to": arguments["copy_to"], "budget": "0.05 seconds" if end == "out of time" else "30 updates"}
        lr.torch.probe(model, optimizer, batches, loss, updates=100, **options)
        return
    if function == "tune":
        lr.torch.tune(
            model,
            optimizer,
            batches,
            loss,
            updates=100,
            budget="0.05 seconds" if end == "out of time" else "60 updates",
            **arguments,
        )
        return
    if end == "out of time":
        arguments["time_limit"] = 0.005
    if end == "stopped":
        arguments["stop"] = lambda lrs, losses: len(losses) >= last
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source = iter(batches) if end == "out of batches" else batches
        lr.torch.range_test(model, optimizer, source, loss, updates=20, **arguments)


def train(model: Any, optimizer: Any, batches: Any, loss: Any = None) -> None:
    """A few updates by hand, which leave gradients and a state."""
    optimizers = optimizer if isinstance(optimizer, list) else [optimizer]
    for batch in batches[:2]:

        def closure(batch: Any = batch) -> torch.Tensor:
            model.zero_grad()
            value = loss(model, batch) if loss else nn.functional.cross_entropy(model(batch[0]), batch[1])
            value.backward()
            return value

        value = closure()
        for torch_optimizer in optimizers:
            torch_optimizer.step(closure if isinstance(torch_optimizer, (torch.optim.LBFGS, SAM)) else None)
        del value


def fingerprint(model: nn.Module, optimizer: Any) -> dict[str, Any]:
    """All that training changes, by name, in values that can be compared."""
    parts: dict[str, Any] = {}
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        gradient = tensor.grad
        parts[name] = (id(tensor), exact(tensor), tensor.requires_grad, None if gradient is None else exact(gradient))
    for name, module in model.named_modules():
        parts[f"mode of {name}"] = module.training
        own = {key: value for key, value in vars(module).items() if isinstance(value, (torch.Tensor, int, list))}
        parts[f"attributes of {name}"] = exact(own)
        parts[f"graphs in {name}"] = [key for key, value in own.items() if getattr(value, "grad_fn", None) is not None]
        if type(module).get_extra_state is not nn.Module.get_extra_state:
            parts[f"extra state of {name}"] = exact(module.get_extra_state())
    optimizers = optimizer if isinstance(optimizer, list) else [optimizer]
    inside = [
        vars(torch_optimizer).get(name)
        for torch_optimizer in optimizers
        for name in ("optimizer", "base_optimizer", "_base_optimizer")
    ]
    for number, torch_optimizer in enumerate([*optimizers, *filter(None, inside)]):
        parts[f"state of optimizer {number}"] = exact(list(torch_optimizer.state.items()))
        parts[f"groups of optimizer {number}"] = exact(torch_optimizer.param_groups)
    parts["random numbers"] = (exact(torch.get_rng_state()), exact(np.random.get_state()), random.getstate())
    parts["gradients enabled"] = torch.is_grad_enabled()
    return parts


def exact(value: Any) -> Any:
    """A value with all tensors as bytes."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), value.shape, value.stride(), value.detach().cpu().contiguous().numpy().tobytes()
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if isinstance(value, dict):
        return {key: exact(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [exact(entry) for entry in value]
    return value
