"""The parts of benchmarks/gpu.py that measure learnrate itself."""

import gc
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from measure import Work, in_rounds, ratios, seconds, spread
from torch import nn
from trials import CLASSES, Workload, cnn, measured, mlp, table

import learnrate as lr

CRITERION = nn.CrossEntropyLoss()
SCHEDULE = lr.warmup(1e-3, 100) >> lr.cosine(1e-3, 0, 1_000_000)


class SkippedError(Exception):
    """A part cannot run here; the text says why."""


@dataclass(frozen=True)
class Setting:
    """Where and how much is measured.

    Attributes:
        device: The device of models and batches.
        small: Whether sizes are tiny.
        rounds: Counted rounds.
        deadline: `time.monotonic()` after which nothing new starts.
    """

    device: torch.device
    small: bool
    rounds: int
    deadline: float

    def late(self) -> bool:
        """Whether the deadline has passed."""
        return time.monotonic() > self.deadline

    def wait(self) -> None:
        """Wait until the device has finished."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def timed(self, work: Work, calls: int = 1) -> Callable[[], float]:
        """Measures the mean time of a call, the device's work included."""

        def all_calls() -> None:
            for _ in range(calls):
                work()
            self.wait()

        def measure() -> float:
            gc.collect()
            self.wait()
            return seconds(all_calls) / calls

        return measure


def model_on(setting: Setting, width: int, layers: int) -> nn.Module:
    """An MLP, from the same seed each time."""
    torch.manual_seed(0)
    return mlp(width, *[width] * layers).to(setting.device)


def adamw(model: nn.Module, **options: Any) -> torch.optim.Optimizer:
    """Fused, as usual on a GPU."""
    return torch.optim.AdamW(model.parameters(), **({"lr": 1e-3, "fused": True} | options))


def compared(setting: Setting, over: str, **works: Callable[[], float]) -> dict[str, Any]:
    """Times in µs, and each as a multiple of the work named by `over`, within each round."""
    figures = in_rounds(setting.rounds, **works)
    return {
        "us": {name: spread([1e6 * value for value in values]) for name, values in figures.items()},
        "ratio": {name: spread(ratios(figures, name, over)) for name in figures if name != over},
    }


def step(setting: Setting) -> Iterator[dict[str, Any]]:
    """`Scheduler.step()` over a bare assignment, and `optimizer.step()` with and without `attach`."""
    calls = 20 if setting.small else 20_000
    model = model_on(setting, 8 if setting.small else 512, 2)
    bare, scheduled = adamw(model), adamw(model)
    scheduler = lr.torch.Scheduler(scheduled, SCHEDULE)

    def assign() -> None:
        for group in bare.param_groups:
            group["lr"] = 1e-3

    steps = {"assignment": setting.timed(assign, calls), "scheduler": setting.timed(scheduler.step, calls)}
    content: dict[str, Any] = {"scheduler": compared(setting, "assignment", **steps)}
    yield content
    plain, driven = adamw(model), adamw(model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    attachment = lr.torch.attach(driven, SCHEDULE)
    calls = 5 if setting.small else 1000
    steps = {"optimizer_step": setting.timed(plain.step, calls), "attached_step": setting.timed(driven.step, calls)}
    content["attach"] = compared(setting, "optimizer_step", **steps)
    attachment.detach()
    yield content


def range_test(setting: Setting) -> Iterator[dict[str, Any]]:
    """A whole range test over the bare loop of the same updates, which reads its losses at the end or after each update."""
    sizes = {"small updates": (128, 256, 2), "large updates": (4096, 2048, 4)}
    if setting.small:
        sizes = {"tiny updates": (8, 8, 1)}
    updates = 12 if setting.small else 200
    content: dict[str, Any] = {"updates": updates, "models": {}}
    for name, (batch, width, layers) in sizes.items():
        model = model_on(setting, width, layers)
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-5, momentum=0.9)
        batches = [
            (torch.randn(batch, width, device=setting.device), torch.randint(CLASSES, (batch,), device=setting.device))
            for _ in range(8)
        ]

        def loop(
            read_each: bool, model: nn.Module = model, optimizer: Any = optimizer, batches: list[Any] = batches
        ) -> list[float]:
            losses = []
            for inputs, targets in itertools.islice(itertools.cycle(batches), updates):
                optimizer.zero_grad()
                loss = CRITERION(model(inputs), targets)
                loss.backward()
                optimizer.step()
                losses.append(loss.item() if read_each else loss.detach())
            return losses if read_each else torch.stack(losses).tolist()

        sweep = partial(
            lr.torch.range_test, model, optimizer, batches, CRITERION, low=1e-7, high=1e-5, updates=updates, stop=None
        )
        works = {"loop": partial(loop, False), "loop_that_reads_each_loss": partial(loop, True), "range_test": sweep}
        figures = compared(setting, "loop", **{key: setting.timed(work) for key, work in works.items()})
        content["models"][name] = {"batch": batch, "width": width, "layers": layers, **figures}
        yield content


def memory(setting: Setting) -> Iterator[dict[str, Any]]:
    """Peaks of the device's memory, as multiples of the bytes of weights and AdamW's moments."""
    if setting.device.type != "cuda":
        raise SkippedError("memory of the device is counted by CUDA only")
    width, layers = 4096, 8
    model = model_on(setting, width, layers)
    optimizer = adamw(model)
    batch = (torch.randn(8, width, device=setting.device), torch.randint(CLASSES, (8,), device=setting.device))

    def train() -> None:
        for _ in range(10):
            optimizer.zero_grad()
            CRITERION(model(batch[0]), batch[1]).backward()
            optimizer.step()
        optimizer.zero_grad()

    def borrow(copy_to: Any) -> None:
        with lr.torch.preserve(model, optimizer, copy_to=copy_to):
            pass

    def sweep(copy_to: Any) -> None:
        lr.torch.range_test(
            model, optimizer, [batch], CRITERION, low=1e-7, high=1e-6, updates=10, stop=None, copy_to=copy_to
        )

    train()
    tensors = [*model.parameters(), *(t for state in optimizer.state.values() for t in state.values())]
    size = sum(tensor.nbytes for tensor in tensors)
    works: dict[str, Work] = {
        "loop": train,
        "preserve": partial(borrow, "device"),
        "range_test": partial(sweep, "device"),
        "range_test_copy_on_cpu": partial(sweep, "cpu"),
    }
    peaks = {name: peak(work, setting) / size for name, work in works.items()}
    yield {"state_mib": round(size / 2**20, 1), "peak_over_state": {name: round(value, 3) for name, value in peaks.items()}}


def peak(work: Work, setting: Setting) -> int:
    """Bytes by which the allocated memory exceeds, at most, what it was before."""
    work()  # the allocator and the libraries have their workspaces from now on
    gc.collect()
    setting.wait()
    torch.cuda.reset_peak_memory_stats(setting.device)
    before = torch.cuda.memory_allocated(setting.device)
    work()
    setting.wait()
    return torch.cuda.max_memory_allocated(setting.device) - before


def cuda_graph(setting: Setting) -> Iterator[dict[str, Any]]:
    """A captured update whose tensor LR a Scheduler drives: does it follow the schedule, and what does that cost?"""
    if setting.device.type != "cuda":
        raise SkippedError("CUDA graphs need a CUDA device")
    updates = 1000
    parameter = nn.Parameter(torch.zeros(1024, device=setting.device))
    rate = torch.tensor(0.1, device=setting.device)
    # SGD cannot be captured with a tensor LR, because it reads it on the host. Without its averages Adam moves a parameter
    # whose gradient is 1 by exactly the LR.
    optimizer = torch.optim.Adam([parameter], lr=rate, betas=(0.0, 0.0), eps=0.0, capturable=True, foreach=True)
    parameter.grad = torch.ones_like(parameter)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        optimizer.step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        optimizer.step()
    schedule = lr.warmup(0.1, 100) >> lr.triangular2(0.01, 0.1, 50)
    scheduler = lr.torch.Scheduler(optimizer, schedule)
    used = torch.empty(updates, device=setting.device)
    with torch.no_grad():
        for update in range(updates):
            parameter.zero_()
            graph.replay()
            used[update] = -parameter[0]
            scheduler.step()
    expected = torch.tensor([schedule(update) for update in range(updates)], dtype=torch.float64)
    error = float((used.cpu() - expected).abs().max())
    if optimizer.param_groups[0]["lr"] is not rate:
        raise RuntimeError("the scheduler replaced the tensor LR that the graph reads")

    def driven() -> None:
        graph.replay()
        scheduler.step()

    figures = compared(setting, "replay", replay=setting.timed(graph.replay, updates), driven=setting.timed(driven, updates))
    yield {"updates": updates, "largest_error_of_an_lr": error, "follows": error < 1e-6, **figures}


class TinyViT(nn.Module):
    """A small vision transformer: patches, a class token, pre-norm encoder layers."""

    def __init__(self, image: int, patch: int, width: int, depth: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, stride=patch)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(0.02 * torch.randn(1, (image // patch) ** 2 + 1, width))
        self.layers = nn.Sequential(
            *(
                nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
                for _ in range(depth)
            )
        )
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, CLASSES))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Scores of the classes."""
        patches = self.patches(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(images), -1, -1), patches], 1) + self.positions
        return self.head(self.layers(tokens)[:, 0])


def trials(setting: Setting) -> Iterator[dict[str, Any]]:
    """Trials as one batch against the same trials one after the other, in float32."""
    optimizer = partial(torch.optim.AdamW, lr=1e-3, foreach=True)
    workloads: tuple[Workload, ...] = (
        Workload("MLP 784-512-512-10, batches of 128", lambda: mlp(784, 512, 512), (128, 784)),
        Workload("CNN of 3 convolutions, batches of 64 images of 32 x 32", cnn, (64, 3, 32, 32)),
        Workload(
            "ViT of 4 layers of 128, batches of 64 images of 32 x 32, AdamW",
            lambda: TinyViT(32, 4, 128, 4),
            (64, 3, 32, 32),
            optimizer,
        ),
    )
    counts, updates = (4, 8, 16), 30
    if setting.small:
        counts, updates = (2,), 2
        workloads = (
            Workload("tiny MLP", lambda: mlp(4, 4), (4, 4)),
            Workload("tiny ViT", lambda: TinyViT(8, 4, 8, 1), (2, 3, 8, 8), optimizer),
        )
    content: dict[str, Any] = {"updates": updates, "models": [], "not_measured": {}}
    for workload in workloads:
        rows: list[dict[str, Any]] = []
        content["models"].append({"what": workload.what, "rows": rows})
        for count in counts:
            if setting.late():
                content["not_measured"][f"{count} trials of {workload.what}"] = "the time was over"
                continue
            try:
                rows.append(measured(workload, count, setting.rounds, setting.device, updates))
            except Exception as error:  # a workload that cannot be batched here is a result
                content["not_measured"][f"{count} trials of {workload.what}"] = f"{type(error).__name__}: {error}"[:500]
            yield content
        print(table(workload.what, rows), flush=True)
    yield content
