"""Trials of several LRs trained as one batch (`torch.func.vmap`)."""

from learnrate.torch.ensemble.batched import TorchEnsemble, ensemble_of
from learnrate.torch.ensemble.conditions import worthwhile

__all__ = ["TorchEnsemble", "ensemble_of", "worthwhile"]
