"""Many processes: one decision for all, and an error that names the rank of a failure."""

from learnrate.torch.distributed.processes import Processes, SingleProcess, all_processes

__all__ = ["Processes", "SingleProcess", "all_processes"]
