"""Forks processes in which torch is imported already, for the command line or a script: `python fork_server.py`.

A request is one line of JSON on stdin, its answer one line on stdout.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import sys
import traceback
from pathlib import Path

# Imported for the forks: what typer and torch import when they are first used takes longer than most commands.
import matplotlib.figure  # noqa: F401
import plotly.io  # noqa: F401
import torch
import torch._dynamo

import learnrate.cli.app
import learnrate.cli.compare
import learnrate.cli.range_test
import learnrate.cli.show
import learnrate.cli.study
import learnrate.cli.tune
import learnrate.torch  # noqa: F401
from learnrate.cli import main

for module in ("pydantic.type_adapter", "typer._adapters"):
    with contextlib.suppress(ModuleNotFoundError):  # the oldest versions do without
        importlib.import_module(module)


def serve():
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            answer = {"code": os.waitstatus_to_exitcode(status)}
        else:
            process = os.fork()
            if process == 0:
                run(**request)
            answer = {"process": process}
        print(json.dumps(answer), flush=True)


def run(arguments, folder, environment, out, err, script=None):
    """What `python -m learnrate`, or `python script`, does up to the end of the process."""
    code = 1
    try:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        for descriptor, path, flags in (
            (0, os.devnull, os.O_RDONLY),
            (1, out, os.O_WRONLY | os.O_CREAT),
            (2, err, os.O_WRONLY | os.O_CREAT),
        ):
            os.dup2(os.open(path, flags), descriptor)
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
        sys.argv = [script or "learnrate", *arguments]
        sys.path[0] = str(Path(script).parent) if script else ""
        if script:
            runpy.run_path(script, run_name="__main__")
            code = 0
        else:
            main()
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    torch.set_num_threads(1)
    gc.freeze()  # no fork needs to look at what is imported
    serve()
