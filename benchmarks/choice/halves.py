"""The two halves of the tasks: what was designed on one is reported on the other.

Constants of learnrate (the factors of the probe, the rules of the search) may be fitted on the records of `DESIGN` only.
The figures of how well it chooses are those of `REPORT`. Both sets were fixed before a method was run on their tasks:
alternately by name for the 26 tasks of the first version of the benchmark; for the later ones so that each optimizer and
each kind of difficulty (short, noisy, far from the usual LR) is on both sides. Raw-scale regression and the run of 100,000
updates are in the report.
"""

from typing import Literal

Half = Literal["design", "report"]

DESIGN = frozenset(
    {
        "adult_linear",
        "california_mlp",
        "cifar_finetune",
        "cifar_resnet",
        "digits_cnn",
        "fashion_cnn",
        "fashion_sigmoid",
        "kin8nm_mlp",
        "mnist_deep",
        "mnist_vit",
        "power_mlp",
        "shakespeare_gpt",
        "sst2_gru",
        # Added later:
        "cifar_few",
        "fashion_contrastive",
        "fashion_lora16",
        "mnist_segmentation",
        "poisson_pinn",
    }
)
"""Tasks on which constants may be fitted."""

REPORT = frozenset(
    {
        "adult_mlp",
        "cifar_cnn",
        "cifar_groupnorm",
        "digits_adam",
        "digits_mlp",
        "fashion_mlp",
        "imdb_bag",
        "mnist_autoencoder",
        "mnist_mixer",
        "naval_mlp",
        "protein_mlp",
        "shakespeare_lstm",
        "sst2_transformer",
        # Added later:
        "california_dollars",
        "fashion_diffusion",
        "fashion_lora2",
        "kin8nm_long",
        "mnist_vae",
    }
)
"""Tasks on which nothing is fitted."""

LATER = frozenset(
    {
        *("cifar_few", "fashion_contrastive", "fashion_lora16", "mnist_segmentation", "poisson_pinn"),
        *("california_dollars", "fashion_diffusion", "fashion_lora2", "kin8nm_long", "mnist_vae"),
    }
)
"""Tasks that the first version of the benchmark did not have: not every method has trained on them."""

UNSEEN = frozenset({"fashion_diffusion", "fashion_lora2", "kin8nm_long", "mnist_vae"})
"""Tasks of the report that changed no rule of the search. On the others, results of both halves were looked at while its
rules were written; its numbers were fitted on `DESIGN`."""


def half(task: str) -> Half:
    """The half of a task.

    Raises:
        KeyError: if the task is in none.
    """
    if task in DESIGN:
        return "design"
    if task in REPORT:
        return "report"
    raise KeyError(f"every task must be in DESIGN or REPORT of {__name__}, received {task!r}: add it to one of them")
