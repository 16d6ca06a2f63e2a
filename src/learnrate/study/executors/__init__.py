"""Where the runs of a study are made: here, in processes of this machine, or on a cluster."""

from learnrate.study.executors.executor import Executor, Future, as_executor
from learnrate.study.executors.here import Here
from learnrate.study.executors.processes import Processes, WorkerLostError

__all__ = ["Executor", "Future", "Here", "Processes", "WorkerLostError", "as_executor"]
