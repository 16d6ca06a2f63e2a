"""What a scheduler that learnrate replaces leaves in its optimizer."""

from torch.optim import Optimizer


def replaced(scheduler: object, optimizer: Optimizer) -> str:
    """The kind of a scheduler that is replaced, and the momentum that it has set, because it stays in the optimizer.

    OneCycleLR and CyclicLR change the momentum too, and do not keep the value that the user had set.

    Args:
        scheduler: The scheduler of torch, or a wrapped one.
        optimizer: Its optimizer.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9)
        >>> replaced(torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=10), optimizer)
        'OneCycleLR (the momentum 0.95, which it has set, stays)'
    """
    scheduler = getattr(scheduler, "scheduler", scheduler)
    kind, group = type(scheduler).__name__, optimizer.param_groups[0]
    if not getattr(scheduler, "cycle_momentum", False) or not {"momentum", "betas"} & group.keys():
        return kind
    momentum = group["momentum"] if "momentum" in group else group["betas"][0]
    return f"{kind} (the momentum {float(momentum):.3g}, which it has set, stays)"
