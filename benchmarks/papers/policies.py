"""The schedules of the papers' tables, a row each, at any scale: `scale` shortens every length alike.

Lengths are updates, step_size, stages, and the time in which a factor `gamma` takes effect: an LR that halves in 1,000
updates halves in 200 at a scale of 0.2. Where a paper leaves a number open, the row says what was assumed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import learnrate as lr


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        name: What the paper calls it.
        schedule: Its LR.
        updates: Length of a training at this scale.
        paper_updates: Length in the paper.
        paper_accuracy: The paper's accuracy in percent; None if it gives none.
        assumed: What the paper leaves open and was decided here.
    """

    name: str
    schedule: lr.Schedule
    updates: int
    paper_updates: int
    paper_accuracy: float | None
    assumed: str = ""


@dataclass(frozen=True)
class Scale:
    """Lengths at a scale.

    Attributes:
        factor: From above 0 to 1.
    """

    factor: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.factor, bool) or not (isinstance(self.factor, (int, float)) and 0 < self.factor <= 1):
            raise ValueError(f"SCALE must be a number above 0 and at most 1, received {self.factor!r}")

    def updates(self, number: float) -> int:
        """A number of updates; at least 1."""
        return max(1, round(number * self.factor))

    def period(self, number: float) -> float:
        """A step_size, which need not be whole; at least 1."""
        value = max(1.0, round(number * self.factor, 9))
        return int(value) if value.is_integer() else value

    def gamma(self, per_update: float) -> float:
        """A factor per update that has the same effect over a scaled length."""
        return per_update ** (1 / self.factor)

    def row(self, name: str, schedule: lr.Schedule, updates: int, accuracy: float | None, assumed: str = "") -> Row:
        """A row."""
        return Row(name, schedule, self.updates(updates), updates, accuracy, assumed)


def fixed(scale: Scale, ends: Mapping[int, float]) -> lr.Schedule:
    """LRs, each up to a number of updates."""
    values, milestones = tuple(ends.values()), tuple(scale.updates(end) for end in list(ends)[:-1])
    return lr.piecewise_constant(values, milestones) if milestones else lr.constant(values[0])


STAGES = ((0.001, 0.005, 2000, 4), (0.0001, 0.0005, 1000, 3), (0.00001, 0.00005, 500, 3))
"""Table 2 of the CLR paper: base_lr, max_lr, step_size, and the number of cycles that ends a stage where the table does."""


def three_stages(scale: Scale, window: str = "triangular") -> lr.Schedule:
    """Table 2: halving cycles; each stage starts with the full amplitude between its bounds."""
    stages = [
        lr.cyclical(base, top, scale.period(step_size), window=window, envelope="halving", cycles=cycles)
        for base, top, step_size, cycles in STAGES
    ]
    return stages[0] >> stages[1] >> stages[2]


def clr_table_1(scale: float = 1.0) -> tuple[Row, ...]:
    """CLR, Table 1 (arXiv 1506.01186): CIFAR-10 with cifar10_full."""
    at = Scale(scale)
    gamma = at.gamma(0.99994)
    decay = lr.decay(0.001, 0.007, at.updates(4000))
    exp_range = lr.exp_range(0.001, 0.006, at.period(3000), gamma, cycles=7, shrinks="bounds")
    return (
        at.row("fixed", fixed(at, {60_000: 0.001, 65_000: 0.0001, 70_000: 0.00001}), 70_000, 81.4),
        at.row("triangular2", three_stages(at), 25_000, 81.4),
        at.row("decay", decay, 25_000, 78.5),
        at.row(
            "exp", lr.exponential_decay(0.001, gamma), 70_000, 79.1, "LR at the start: 0.001, the lower bound of exp_range"
        ),
        at.row("exp_range", exp_range, 42_000, 82.2, "step_size 3,000, so that a cycle ends at 42,000"),
    )


TABLE_3 = {
    "Nesterov": (0.001, 0.006, 82.1, 81.3, None),
    "Adam": (0.0005, 0.002, 81.4, 79.8, 81.1),
    "RMSprop": (0.0001, 0.0003, 75.2, 72.8, 75.1),
    "AdaGrad": (0.003, 0.035, 74.6, 76.0, None),
    "AdaDelta": (0.01, 0.1, 67.3, 67.3, None),
}
"""Bounds; accuracy with the lower bound, fixed, for 70,000 updates; with triangular for 25,000 and for 70,000."""


def clr_table_3(optimizer: str, scale: float = 1.0) -> tuple[Row, ...]:
    """CLR, Table 3, for an optimizer."""
    if optimizer not in TABLE_3:
        raise ValueError(f"optimizer must be one of {', '.join(TABLE_3)}, received {optimizer!r}")
    at = Scale(scale)
    base, top, accuracy, short, long = TABLE_3[optimizer]
    cycles, assumed = lr.triangular(base, top, at.period(2500)), "step_size 2,500, so that cycles end at 25,000 and 70,000"
    rows = [at.row("fixed", lr.constant(base), 70_000, accuracy), at.row("triangular", cycles, 25_000, short, assumed)]
    return (*rows, at.row("triangular, long", cycles, 70_000, long, assumed)) if long is not None else tuple(rows)


BESIDE_TABLE_3 = {"ESGD": (0.02, 0.2), "AdaSecant": (0.3, 1.2)}
"""Bounds of the optimizers that the paper names beside those of Table 3, without figures: a factor of 10 that ends at twice
the usual LR of ESGD, and about the LR of 1 with which AdaSecant is the method of its paper."""


def clr_table_3_beside(optimizer: str, scale: float = 1.0) -> tuple[Row, ...]:
    """ESGD or AdaSecant in the schedules of Table 3."""
    at = Scale(scale)
    base, top = BESIDE_TABLE_3[optimizer]
    assumed = "the lengths and step_size of Table 3; the paper gives no bounds and no figures"
    return (
        at.row("fixed", lr.constant(base), 70_000, None, assumed),
        at.row("triangular", lr.triangular(base, top, at.period(2500)), 25_000, None, assumed),
    )


def clr_sigmoid(scale: float = 1.0) -> tuple[Row, ...]:
    """CLR, section 4.1.3: sigmoids with batch normalisation."""
    at = Scale(scale)
    rates = fixed(at, {60_000: 0.001, 65_000: 0.0001, 70_000: 0.00001})
    assumed = "the schedules of Table 1"
    return (at.row("fixed", rates, 70_000, 60.8, assumed), at.row("triangular2", three_stages(at), 25_000, 72.2, assumed))


def clr_windows(scale: float = 1.0) -> tuple[Row, ...]:
    """CLR, section 3.1: three windows, which the paper reports to be equivalent, in the stages of Table 2."""
    at = Scale(scale)
    return tuple(at.row(window, three_stages(at, window), 25_000, None) for window in ("triangular", "welch", "hann"))


TABLE_4 = {
    "ResNet": (64_000, 0.3, {10: (92.8, 93.3, 91.8, 93.6), 100: (71.2, 71.6, 71.9, 72.5)}),
    "Stochastic depth": (195_000, 0.3, {10: (94.6, 94.5, 94.2, 94.5), 100: (75.2, 75.2, 74.6, 75.4)}),
    "DenseNet": (234_300, 0.2, {10: (94.5, 94.5, 94.2, 94.9), 100: (75.2, 75.3, 74.5, 75.9)}),
}
"""Updates (He et al.: 64,000; Huang et al.: 500 epochs at 128, 300 epochs at 64), upper bound, and accuracies by classes."""


def clr_table_4(net: str, classes: int = 10, scale: float = 1.0) -> tuple[Row, ...]:
    """CLR, Table 4: LRs of 0.1, 0.2 and 0.3, and cycles of a tenth of the training between 0.1 and 0.2 or 0.3.

    All fall to a tenth after a half and after three quarters of the training, cycles with both their bounds.
    """
    if net not in TABLE_4:
        raise ValueError(f"net must be one of {', '.join(TABLE_4)}, received {net!r}")
    if classes not in (10, 100):
        raise ValueError(f"classes must be 10 or 100, received {classes!r}")
    at = Scale(scale)
    updates, top, by_classes = TABLE_4[net]
    *accuracies, cyclical = by_classes[classes]
    drops = (at.updates(updates / 2), at.updates(3 * updates / 4))
    rates = zip((0.1, 0.2, 0.3), accuracies, strict=True)
    cycles = lr.triangular(0.1, top, at.period(updates / 20)) * lr.multistep(1.0, 0.1, drops)
    assumed = "lengths and falls of the nets' own papers"
    return (
        *(at.row(f"LR {rate}", lr.multistep(rate, 0.1, drops), updates, value, assumed) for rate, value in rates),
        at.row(f"CLR 0.1-{top}", cycles, updates, cyclical, assumed),
    )


def alexnet(scale: float = 1.0) -> tuple[Row, ...]:
    """CLR, Table 1: AlexNet on ImageNet, batches of 256."""
    at, assumed = Scale(scale), "fixed: 0.01, and a tenth after each 100,000 updates, as in Caffe"
    ends = {100_000: 0.01, 200_000: 0.001, 300_000: 0.0001, 400_000: 0.00001}
    gamma, step_size = at.gamma(0.999995), at.period(30_000)
    exp = lr.exponential_decay(0.006, gamma)
    return (
        at.row("fixed", fixed(at, ends), 400_000, 58.0, assumed),
        at.row("triangular2", lr.triangular2(0.01, 0.015, step_size), 400_000, 58.4, "one stage"),
        at.row("exp", exp, 300_000, 56.0, "LR at the start: 0.006, the lower bound of exp_range"),
        at.row("exp, long", exp, 460_000, 56.5, "LR at the start: 0.006, the lower bound of exp_range"),
        at.row("exp_range", lr.exp_range(0.006, 0.014, step_size, gamma, shrinks="bounds"), 300_000, 56.5),
    )


def googlenet(scale: float = 1.0) -> tuple[Row, ...]:
    """CLR, Table 1: GoogLeNet on ImageNet, batches of 128."""
    at, gamma = Scale(scale), Scale(scale).gamma(0.99998)
    ends = {140_000: 0.01, 280_000: 0.001, 420_000: 0.0001}
    step_size = at.period(30_000)
    return (
        at.row("fixed", fixed(at, ends), 420_000, 63.0, "0.01, and a tenth after each third"),
        at.row("triangular2", lr.triangular2(0.01, 0.026, step_size), 420_000, 64.4, "one stage"),
        at.row(
            "exp", lr.exponential_decay(0.01, gamma), 240_000, 58.2, "LR at the start: 0.01, the lower bound of exp_range"
        ),
        at.row("exp_range", lr.exp_range(0.01, 0.026, step_size, gamma, shrinks="bounds"), 240_000, 60.2),
    )


def sgdr(classes: int = 10, scale: float = 1.0) -> tuple[Row, ...]:
    """SGDR (arXiv 1608.03983): WRN-28-10, batches of 128; the paper gives errors."""
    if classes not in (10, 100):
        raise ValueError(f"classes must be 10 or 100, received {classes!r}")
    at, epoch = Scale(scale), 50_000 / 128
    errors = {10: (4.24, 4.03, 4.09), 100: (20.33, 19.58, 19.74)}[classes]

    def restarts(epochs: int, cycles: int) -> lr.Schedule:
        return lr.warm_restarts(0.05, at.period(epochs * epoch), growth=2, cycles=cycles)

    steps = lr.multistep(0.1, 0.2, tuple(at.updates(epochs * epoch) for epochs in (60, 120, 160)))
    return (
        at.row("steps", steps, round(200 * epoch), 100 - errors[0]),
        at.row("T0 = 10, x2", restarts(10, 4), round(150 * epoch), 100 - errors[1], "measured where the fourth period ends"),
        at.row("T0 = 1, x2", restarts(1, 7), round(127 * epoch), 100 - errors[2], "measured where the seventh period ends"),
    )


def super_convergence(scale: float = 1.0) -> tuple[Row, ...]:
    """Super-convergence (arXiv 1708.07120): ResNet-56 on CIFAR-10, batches of 1,000."""
    at = Scale(scale)
    ends = {40_000: 0.35, 60_000: 0.035, 80_000: 0.0035}
    return (
        at.row("steps", fixed(at, ends), 80_000, 91.2, "0.35, a tenth after a half and after three quarters"),
        at.row("one cycle", lr.triangular(0.1, 3.0, at.period(5000), cycles=1), 10_000, 92.4),
    )


def super_convergence_mnist(scale: float = 1.0) -> tuple[Row, ...]:
    """Super-convergence: LeNet on MNIST, batches of 512; 85 epochs of steps, or 12 epochs with one cycle."""
    at, epoch = Scale(scale), 60_000 / 512
    drops = (at.updates(42.5 * epoch), at.updates(63.75 * epoch))
    up_and_down = lr.triangular(0.01, 0.1, at.period(5 * epoch), cycles=1)
    cycle = up_and_down >> lr.linear(0.01, 0.0001, at.updates(2 * epoch))
    steps = "0.01, a tenth after a half and after three quarters"
    assumed = "0.01 to 0.1 and back in 5 epochs each, then down to 0.0001 in 2"
    return (
        at.row("steps", lr.multistep(0.01, 0.1, drops), round(85 * epoch), 99.03, steps),
        at.row("one cycle", cycle, round(12 * epoch), 99.25, assumed),
    )


def tables(scale: float = 1.0) -> Iterator[tuple[str, tuple[Row, ...]]]:
    """All tables with their names."""
    yield "clr-table-1", clr_table_1(scale)
    for optimizer in TABLE_3:
        yield f"clr-table-3-{optimizer.lower()}", clr_table_3(optimizer, scale)
    for optimizer in BESIDE_TABLE_3:
        yield f"clr-table-3-beside-{optimizer.lower()}", clr_table_3_beside(optimizer, scale)
    yield "clr-sigmoid", clr_sigmoid(scale)
    yield "clr-windows", clr_windows(scale)
    for net in TABLE_4:
        for classes in (10, 100):
            yield f"clr-table-4-{net.lower().replace(' ', '-')}-{classes}", clr_table_4(net, classes, scale)
    yield "clr-alexnet", alexnet(scale)
    yield "clr-googlenet", googlenet(scale)
    for classes in (10, 100):
        yield f"sgdr-{classes}", sgdr(classes, scale)
    yield "super-convergence", super_convergence(scale)
    yield "super-convergence-mnist", super_convergence_mnist(scale)
