"""Optimizers of the papers on cyclical learning rates that torch lacks.

They are ordinary optimizers of torch: any loop, any schedule and every call of `lr.torch` but `probe`
takes them.
"""

from learnrate.torch.optimizers.adasecant import AdaSecant
from learnrate.torch.optimizers.esgd import ESGD

__all__ = ["ESGD", "AdaSecant"]
