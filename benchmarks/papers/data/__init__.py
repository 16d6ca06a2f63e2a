"""The data of the papers: CIFAR-10 and CIFAR-100 in each of their forms, MNIST, and ImageNet's format."""

from benchmarks.papers.data.batches import ImageBatches
from benchmarks.papers.data.sources import MissingDataError, cifar10, cifar100, folder, mnist
from benchmarks.papers.data.split import Split, Subset

__all__ = ["ImageBatches", "MissingDataError", "Split", "Subset", "cifar10", "cifar100", "folder", "mnist"]
