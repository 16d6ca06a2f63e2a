"""The rules of other libraries that lower or raise the LR as the loss goes, as controllers: equal to them call by call."""

from learnrate.control.peers.greedy import greedy
from learnrate.control.peers.keras_plateau import keras_plateau
from learnrate.control.peers.optax_plateau import optax_plateau
from learnrate.control.peers.timm_plateau import timm_plateau
from learnrate.control.peers.torch_plateau import torch_plateau

__all__ = ["greedy", "keras_plateau", "optax_plateau", "timm_plateau", "torch_plateau"]
