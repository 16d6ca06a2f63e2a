"""probe() for a torch model."""

from collections.abc import Sequence
from typing import Any, Unpack

from torch import nn

from learnrate import tuner
from learnrate.interrupts import within
from learnrate.torch.distributed import all_processes
from learnrate.torch.driving import Only
from learnrate.torch.inputs import Optimizers
from learnrate.torch.snapshot import CopyTo
from learnrate.torch.training import Batches, Losses, TorchTrainable, UpdateOptions, Updater, seed_everything
from learnrate.tuner import Probe
from learnrate.updates import Progress


def probe(
    model: nn.Module,
    optimizer: Optimizers,
    batches: Batches,
    loss: Losses,
    *,
    updates: int,
    budget: float | str | None = None,
    seed: int = 0,
    only: Only = None,
    also_keep: Sequence[Any] = (),
    copy_to: CopyTo = "auto",
    progress: Progress | None = None,
    **update: Unpack[UpdateOptions],
) -> Probe:
    """Find an LR by one short training that finds its own step sizes, in a twentieth of a training run.

    The user's own optimizer makes the updates. Adam, AdamW, Adamax, NAdam, RMSprop, RAdam, AdaGrad, Adafactor and Muon make
    steps as large as the distance to the solution, as Prodigy estimates it; SGD makes the steps of DoWG, with its momentum
    set to 0. The size that these steps arrive at, times a factor, is the LR. On the tasks of docs/choice.md the best LR lies
    within a factor of four of it in nine of ten answers for optimizers of Adam's kind, and within a factor of six for SGD;
    docs/design.md says how well the factors of the others hold. `tune` is more exact and costs more.

    Model, optimizer and random numbers are given back as they were, byte for byte (see `preserve`). With
    `torch.distributed`, call it in every process: all return the same LR; if one fails, the probe ends in all of them
    (`RankError`).

    Args:
        model: The model, on its device and with the weights that the training run starts from.
        optimizer: Its optimizer, or several that minimise one loss, Muon beside AdamW for example; `only` names those that
            are probed. Groups keep the ratios of their LRs; the probe gives the LR of the group with the largest LR.
        batches: Anything that can be iterated, or a function that returns a new iterator.
        loss: A criterion (outputs, target) -> loss for batches of (inputs, target), or a function (model, batch) -> loss.
        updates: Length of the whole training run.
        budget: What the probe may cost: a share of one training run, or a text such as "100 updates", "5%" or "20 seconds";
            a time can only make it shorter. By default a twentieth of the run; at least 100 updates, as far as that is at
            most an eighth of the run; never fewer than 20 updates.
        seed: Seeds the random numbers of the probe.
        only: What takes the LR while the rest keeps its own; see `range_test`.
        also_keep: What else the training changes and should be given back (see `preserve`).
        copy_to: Where the copy of the state lives: "device", "cpu", "disk", or "auto" (see `preserve`). Beside it the probe
            needs a copy of the trained weights on their device, and for all optimizers but SGD sums in double precision.
        progress: Called after every update with (updates made, updates planned).
        **update: How an update is made; see `UpdateOptions`.

    Returns:
        The LR, its interval and the reason.

    Raises:
        ArgumentError: if a number breaks its rule, the budget is below 20 updates, or there is nothing to train.
        ArgumentTypeError: if an argument is of the wrong kind.
        DataError: if there are no batches, or an iterator runs out (`ExhaustedError`).
        LossError: if the loss is no scalar tensor with a gradient.
        NoAnswerError: if there is no probe for this optimizer, the loss did not fall, or the step size did not grow.
        OutputError: if the copy of the state does not fit on the disk.
        RankError: if one of several processes failed.

    Example:
        >>> import torch, learnrate as lr
        >>> _ = torch.manual_seed(0)
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))
        >>> optimizer = torch.optim.Adam(model.parameters())
        >>> x = torch.randn(256, 4)
        >>> batches = list(zip(x.split(16), x.sum(1, keepdim=True).split(16)))
        >>> probe = lr.torch.probe(model, optimizer, batches, torch.nn.MSELoss(), updates=800)
        >>> 0.05 < probe.lr < 1, probe.updates
        (True, 100)
    """
    with all_processes("probe") as processes:  # first: an error in one process must reach the others
        trainable = TorchTrainable(
            *(model, optimizer, batches, loss),
            updater=Updater.of(update, probe),
            only=only,
            also_keep=also_keep,
            copy_to=copy_to,
            processes=processes,
        )
        processes.require_same(updates=updates, budget=budget, seed=seed, only=only, **trainable.updater.shared())

        def probed(_: None) -> Probe:
            seed_everything(seed, processes.rank)
            return tuner.probe(trainable, updates=updates, budget=budget, progress=processes.guarded(progress))

        return within(trainable.borrowed(), probed)
