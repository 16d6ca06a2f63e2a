"""torchrun whose processes are forks of one that has imported what they need: `python forking_torchrun.py N WORKER ...`.

Importing torch and a trainer takes each process longer than most scenarios. Agent, rendezvous and the variables of the
environment are torchrun's own: only its `start_method` differs. The worker is a script with a function `main`.
"""

import gc
import os
import runpy
import subprocess
import sys
from pathlib import Path

LIMIT = 900
"""Seconds that a launch may take; a hang would take torch's half an hour."""


def command(worker, *arguments, processes, **environment):
    """The command that launches a worker in this number of processes, and the variables that it needs in its environment."""
    return [sys.executable, __file__, str(processes), str(worker), *map(str, arguments)], {
        "OMP_NUM_THREADS": "1"
    } | environment


def torchrun(worker, *arguments, processes, **environment):
    """Launch a worker in this number of processes."""
    line, variables = command(worker, *arguments, processes=processes, **environment)
    ended = subprocess.run(line, capture_output=True, text=True, timeout=LIMIT, env=os.environ | variables, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]


def main(processes, worker):
    gc.disable()
    import torch._dynamo  # noqa: F401 - DDP and optimizers import it at their first use
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    work = runpy.run_path(worker, run_name="worker")["main"]
    gc.freeze()  # no fork needs to look for garbage in what is imported
    gc.enable()
    one_machine = {"min_nodes": 1, "max_nodes": 1, "rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0", "run_id": "tests"}
    elastic_launch(LaunchConfig(nproc_per_node=processes, start_method="fork", max_restarts=0, **one_machine), work)()


if __name__ == "__main__":
    number, script, *sys.argv[1:] = sys.argv[1:]
    sys.path.insert(0, str(Path(script).parent))
    main(int(number), script)
