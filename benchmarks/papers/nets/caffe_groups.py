"""Parameter groups by Caffe's multipliers of LR and decay.

An LR multiplier is written as "lr_scale", which learnrate applies to the LR of a schedule. Groups of different LRs would
keep their ratios, too, but the value of the schedule would be the LR of the biases: twice that of the weights.
"""

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from benchmarks.papers.nets.cifar10_full import Cifar10Full


def cifar10_full_groups(model: Cifar10Full, weight_decay: float = 0.004, last_decay: float = 250.0) -> list[dict[str, Any]]:
    """The parameters by their multipliers in Caffe.

    The LR of the biases of the first two convolutions and of the last layer is twice that of the rest. The last layer's
    weights decay 250 times as much, its bias not.

    Args:
        model: The net.
        weight_decay: Of the other layers.
        last_decay: Factor on it for the weights of the last layer.
    """
    decay_of_last = last_decay * weight_decay
    return [
        _group("weights", [model.conv1.weight, model.conv2.weight, *model.conv3.parameters()], 1.0, weight_decay),
        _group("biases", [model.conv1.bias, model.conv2.bias], 2.0, weight_decay),
        _group("last weights", [model.ip1.weight], 1.0, decay_of_last),
        _group("last bias", [model.ip1.bias], 2.0, 0.0),
    ]


def caffe_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The parameters by the multipliers of Caffe's other nets: biases learn twice as fast, and only weights decay."""
    parameters = dict(model.named_parameters())
    weights = [parameter for parameter in parameters.values() if parameter.ndim > 1]
    others = [(name, parameter) for name, parameter in parameters.items() if parameter.ndim == 1]
    norms = [parameter for name, parameter in others if "norm" in name]
    biases = [parameter for name, parameter in others if "norm" not in name]
    by_name = {"weights": (weights, 1.0, weight_decay), "norms": (norms, 1.0, 0.0), "biases": (biases, 2.0, 0.0)}
    return [_group(name, *group) for name, group in by_name.items() if group[0]]


def _group(name: str, parameters: Iterable[Tensor | None], lr_scale: float, weight_decay: float) -> dict[str, Any]:
    return {"name": name, "params": list(parameters), "lr_scale": lr_scale, "weight_decay": weight_decay}
