"""Where the runs of a study are made: here, in processes of this machine, or on a cluster."""

from learnrate.study.executors.dask import Dask
from learnrate.study.executors.executor import Executor, Future, NodeLostError, WorkerLostError, as_executor
from learnrate.study.executors.here import Here
from learnrate.study.executors.processes import Processes
from learnrate.study.executors.ray import Ray
from learnrate.study.executors.submitit import Submitit

__all__ = [
    "Dask",
    "Executor",
    "Future",
    "Here",
    "NodeLostError",
    "Processes",
    "Ray",
    "Submitit",
    "WorkerLostError",
    "as_executor",
]
