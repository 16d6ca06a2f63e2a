"""How many updates the accuracy of "fixed at 70,000" needs with learnrate's own plan: the goal is a tenth."""

from collections.abc import Mapping
from functools import partial

import learnrate as lr
from benchmarks.papers.experiment import Experiment, Row, scaled
from benchmarks.papers.recipes import cifar10_full

LENGTHS = (3_500, 7_000, 14_000)
"""Half, as long as, and twice the goal of 7,000 updates."""

FAMILIES = ("one_cycle", "warmup_cosine")


def rows(scale: float) -> Mapping[str, Row]:
    """Each family at each length, with the LR that `learnrate.tune` chooses for it."""
    return {
        f"{family}, {length:,}": Row(lr.Arm(family, updates=scaled(length, scale)), length)
        for length in LENGTHS
        for family in FAMILIES
    }


EXPERIMENT = Experiment(
    name="headline",
    title="Updates to the accuracy of fixed at 70,000",
    source="arXiv 1506.01186, Table 1: 2.8 times fewer with triangular2",
    rows=rows,
    recipe=partial(cifar10_full, validation=5_000),
    evaluate_every=250,
    seeds=3,
    tune_each=True,
    notes=("5,000 training images choose the LR and do not train, so that the test images decide nothing.",),
)
