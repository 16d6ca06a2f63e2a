"""The experiments by name."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

import learnrate as lr
from benchmarks.papers import policies, recipes
from benchmarks.papers.experiment import Entry, Experiment, plain
from benchmarks.papers.nets.variants import VARIANTS
from benchmarks.papers.policies import Row

CLR = "Smith, Cyclical Learning Rates for Training Neural Networks, arXiv 1506.01186"

SMALL_IMAGENET, SMALL_BATCH = 2_000, 32
"""Images that `benchmarks.papers.data.as_imagenet` writes by default, and batches with which an epoch is some minutes."""

HEADLINE_LENGTHS = (3_500, 7_000, 14_000)
"""Half of the goal, the goal of a tenth of 70,000 updates, and twice the goal."""


def _optimizers(scale: float) -> Iterable[Entry]:
    """Table 3: each optimizer with its own recipe."""
    for name, optimizer in recipes.TABLE_3.items():
        for row in policies.clr_table_3(name, scale):
            yield Entry(replace(row, name=f"{name}, {row.name}"), partial(recipes.cifar10_full, optimizer=optimizer))


def _beside(scale: float) -> Iterable[Entry]:
    """Optimizers that the paper names beside those of Table 3."""
    for name, optimizer in recipes.beside_table_3().items():
        for row in policies.clr_table_3_beside(name, scale):
            yield Entry(replace(row, name=f"{name}, {row.name}"), partial(recipes.cifar10_full, optimizer=optimizer))


def _why(scale: float) -> Iterable[Entry]:
    """Two rows of Table 1 with each variant of the net and of its training."""
    for variant in VARIANTS:
        for row in policies.clr_table_1(scale)[:2]:
            yield Entry(replace(row, name=f"{row.name}, {variant}"), partial(recipes.cifar10_full_variant, variant))


def _small_imagenet(scale: float) -> Iterable[Entry]:
    """One epoch of the images that `benchmarks.papers.data.as_imagenet` writes, for each net."""
    at, updates = policies.Scale(scale), SMALL_IMAGENET // SMALL_BATCH
    for name, recipe, base, top in (
        ("AlexNet", recipes.alexnet, 0.01, 0.015),
        ("GoogLeNet", recipes.googlenet, 0.01, 0.026),
    ):
        row = at.row(name, lr.triangular2(base, top, at.period(updates / 2)), updates, None)
        yield Entry(row, partial(recipe, batch=SMALL_BATCH))


def _headline(scale: float) -> Iterable[Entry]:
    """Learnrate's own plan: two families at three lengths, each at the LR that `learnrate.tune` chooses."""
    at = policies.Scale(scale)
    for length in HEADLINE_LENGTHS:
        for family in ("one_cycle", "warmup_cosine"):
            row = at.row(f"{family}, {length:,}", policies.fixed(at, {length: 0.01}), length, None)
            yield Entry(row, family=family)


def _smaller_net(rows: Callable[..., Iterable[Row]], scale: float) -> Iterable[Entry]:
    """The rows of a table with a smaller net, of which the paper gives no figures."""
    return [Entry(replace(row, paper_accuracy=None)) for row in rows(scale=scale)]


EXPERIMENTS: dict[str, Experiment] = {
    "clr-table-1": Experiment(
        title="Five policies on CIFAR-10",
        source=f"{CLR}, Tables 1 and 2, Figure 1",
        entries=plain(policies.clr_table_1),
        recipe=recipes.cifar10_full,
        evaluate_every=500,
        target="fixed",
    ),
    "clr-table-3": Experiment(
        title="Optimizers, each with a fixed LR and with triangular cycles",
        source=f"{CLR}, Table 3 and Figure 5",
        entries=_optimizers,
        recipe=recipes.cifar10_full,
        evaluate_every=1_000,
        seeds=2,
    ),
    **(
        {
            "clr-table-3-beside": Experiment(
                title="ESGD and AdaSecant, each with a fixed LR and with triangular cycles",
                source=f"{CLR}, section 4.1.2, which names them without figures",
                entries=_beside,
                recipe=recipes.cifar10_full,
                evaluate_every=1_000,
                seeds=2,
            )
        }
        if recipes.beside_table_3()
        else {}
    ),
    "clr-why": Experiment(
        title="What the figures of Table 1 depend on",
        source="Two rows of Table 1, each with one setting that differs from Caffe",
        entries=_why,
        recipe=recipes.cifar10_full,
        evaluate_every=500,
        seeds=2,
        notes=(
            "Meant for a scale of 0.05 to 0.1. The effect of the JPEG copy can be measured only with the original data; "
            "where they are installed, all experiments use them.",
        ),
    ),
    "clr-sigmoid": Experiment(
        title="Sigmoids with batch normalisation",
        source=f"{CLR}, section 4.1.3",
        entries=plain(policies.clr_sigmoid),
        recipe=recipes.cifar10_full_sigmoid,
        evaluate_every=500,
        target="fixed",
    ),
    "clr-windows": Experiment(
        title="Three windows: triangular, Welch, Hann",
        source=f"{CLR}, section 3.1",
        entries=plain(policies.clr_windows),
        recipe=recipes.cifar10_full,
        evaluate_every=500,
        notes=("The paper reports no figures, only that the three are equivalent.",),
    ),
    "headline": Experiment(
        title="Updates to the accuracy of fixed at 70,000, with learnrate's own plan",
        source=f"{CLR}, Table 1: triangular2 needs 2.8 times fewer updates",
        entries=_headline,
        recipe=partial(recipes.cifar10_full, validation=5_000),
        evaluate_every=250,
        tune_each=True,
        notes=(
            "5,000 of the 50,000 training images choose the LR and do not train, so that the test images are used for the "
            "scores only.",
        ),
    ),
    **{
        f"clr-table-4-{net.lower().replace(' ', '-')}-{classes}": Experiment(
            title=f"{net}, {classes} classes",
            source=f"{CLR}, Table 4",
            entries=plain(policies.clr_table_4, net, classes),
            recipe=recipe,
            evaluate_every=2_000,
            seeds=5,
        )
        for classes in (10, 100)
        for net, recipe in {
            "ResNet": partial(recipes.resnet, 9, classes),
            "Stochastic depth": partial(recipes.resnet, 9, classes, 0.5),
            "DenseNet": partial(recipes.densenet, classes=classes),
        }.items()
    },
    "clr-alexnet": Experiment(
        title="AlexNet on ImageNet's format",
        source=f"{CLR}, Table 1",
        entries=plain(policies.alexnet),
        recipe=recipes.alexnet,
        evaluate_every=10_000,
        seeds=1,
    ),
    "clr-googlenet": Experiment(
        title="GoogLeNet on ImageNet's format",
        source=f"{CLR}, Table 1",
        entries=plain(policies.googlenet),
        recipe=recipes.googlenet,
        evaluate_every=10_000,
        seeds=1,
    ),
    "small-imagenet": Experiment(
        title="AlexNet and GoogLeNet: one epoch of a small set in ImageNet's format",
        source=f"{CLR}, Table 1: the whole code, not the figures",
        entries=_small_imagenet,
        recipe=recipes.alexnet,
        evaluate_every=1_000,
        seeds=1,
        notes=(
            "100 classes of Tiny-ImageNet as JPEG files, 20 images each, written by `python -m "
            "benchmarks.papers.data.as_imagenet FOLDER`; one epoch shows that everything runs, and trains next to nothing.",
        ),
    ),
    **{
        f"sgdr-{classes}": Experiment(
            title=f"Warm restarts, {classes} classes",
            source="Loshchilov and Hutter, SGDR, arXiv 1608.03983",
            entries=plain(policies.sgdr, classes),
            recipe=partial(recipes.wide_resnet, classes=classes),
            evaluate_every=2_000,
            seeds=2,
        )
        for classes in (10, 100)
    },
    "sgdr-small": Experiment(
        title="Warm restarts with a small net, WRN-16-2",
        source="Loshchilov and Hutter, SGDR, arXiv 1608.03983, with a smaller net",
        entries=partial(_smaller_net, policies.sgdr),
        recipe=partial(recipes.wide_resnet, depth=16, factor=2),
        evaluate_every=2_000,
        seeds=2,
        notes=("The paper's WRN-28-10 has 50 times as many operations, too many for a CPU.",),
    ),
    "super-convergence": Experiment(
        title="One cycle of high LRs against steps",
        source="Smith and Topin, Super-Convergence, arXiv 1708.07120",
        entries=plain(policies.super_convergence),
        recipe=partial(recipes.resnet, 9, batch=1_000),
        evaluate_every=500,
        seeds=2,
    ),
    "super-convergence-small": Experiment(
        title="One cycle of high LRs against steps, with a small net, ResNet-20",
        source="Smith and Topin, Super-Convergence, arXiv 1708.07120, with a smaller net",
        entries=partial(_smaller_net, policies.super_convergence),
        recipe=partial(recipes.resnet, 3, batch=1_000),
        evaluate_every=500,
        seeds=2,
        notes=("The paper's ResNet-56 has three times as many operations.",),
    ),
    "super-convergence-mnist": Experiment(
        title="One cycle against steps, LeNet on MNIST",
        source="Smith and Topin, Super-Convergence, arXiv 1708.07120",
        entries=plain(policies.super_convergence_mnist),
        recipe=recipes.lenet,
        evaluate_every=117,
        seeds=5,
    ),
}
