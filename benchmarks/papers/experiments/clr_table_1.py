"""Table 1, Table 2 and Figure 1 of the CLR paper: five policies on Caffe's cifar10_full."""

from collections.abc import Mapping

import learnrate as lr
from benchmarks.papers.experiment import Experiment, Row, scaled
from benchmarks.papers.recipes import cifar10_full

BASE_LR, MAX_LR, STEP_SIZE, GAMMA = 0.001, 0.006, 2_000, 0.99994

STAGES = ((1e-3, 5e-3, 2_000, 16_000), (1e-4, 5e-4, 1_000, 6_000), (1e-5, 5e-5, 500, 3_000))
"""Table 2: base_lr, max_lr, step_size and length of each stage of Figure 1, in updates."""


def fixed(scale: float) -> lr.Schedule:
    """Caffe's own: 0.001, and a tenth of it after 60,000 and 65,000 updates."""
    return lr.piecewise_constant([1e-3, 1e-4, 1e-5], [scaled(60_000, scale), scaled(65_000, scale)])


def three_stages(scale: float) -> lr.Schedule:
    """Table 2."""
    stages = [_stage(*stage, scale) for stage in STAGES]
    return stages[0] >> stages[1] >> stages[2]


def _stage(base_lr: float, max_lr: float, step_size: int, length: int, scale: float) -> lr.Schedule:
    return lr.triangular2(base_lr, max_lr, step_size * scale, cycles=length // (2 * step_size))


def rows(scale: float) -> Mapping[str, Row]:
    """The rows of Table 1."""
    decay = lr.linear(0.007, BASE_LR, scaled(4_000, scale))
    gamma = GAMMA ** (1 / scale)
    policies = {
        "fixed": (fixed(scale), 70_000, 81.4),
        "triangular2": (three_stages(scale), 25_000, 81.4),
        "decay": (decay, 25_000, 78.5),
        "exp": (lr.exponential_decay(BASE_LR, gamma), 70_000, 79.1),
        "exp_range": (lr.exp_range(BASE_LR, MAX_LR, STEP_SIZE * scale, gamma, shrinks="bounds"), 42_000, 82.2),
    }
    return {
        name: Row(lr.Arm(schedule, updates=scaled(length, scale)), length, paper)
        for name, (schedule, length, paper) in policies.items()
    }


EXPERIMENT = Experiment(
    name="clr-table-1",
    title="Five policies on CIFAR-10 (cifar10_full)",
    source="arXiv 1506.01186, Tables 1 and 2, Figure 1",
    rows=rows,
    recipe=cifar10_full,
    evaluate_every=500,
    seeds=3,
    notes=("The LR that exp begins with is not in the paper: 0.001, as fixed has it.",),
)
