"""Forks processes in which torch is imported already, each of which runs the command line: `python fork_server.py`.

A request is one line of JSON on stdin, its answer one line on stdout.
"""

import json
import os
import sys
import traceback

import matplotlib.figure  # noqa: F401
import torch

import learnrate.cli.app
import learnrate.cli.tune  # noqa: F401
from learnrate.cli import main


def serve():
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            answer = {"code": os.waitstatus_to_exitcode(status)}
        else:
            process = os.fork()
            if process == 0:
                run_command(**request)
            answer = {"process": process}
        print(json.dumps(answer), flush=True)


def run_command(arguments, folder, environment, out, err):
    """What `python -m learnrate` does, up to the end of the process."""
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
        sys.argv = ["learnrate", *arguments]
        sys.path[0] = ""
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
    serve()
