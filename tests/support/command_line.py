"""The command line as a user runs it: in a process, from any folder."""

import json
import os
import select
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
LIMIT = 600
"""Seconds that a command may take."""


@dataclass(frozen=True)
class Ended:
    returncode: int
    stdout: str
    stderr: str


def learnrate(*arguments, folder, environment=ENVIRONMENT):
    """`python -m learnrate`, for tests of how the interpreter starts or ends."""
    command = [sys.executable, "-m", "learnrate", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False)


def start(*arguments, folder):
    """Start the same, without waiting for it."""
    command = [sys.executable, "-m", "learnrate", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, text=True, **pipes)


class Forked:
    """A process of the fork server."""

    def __init__(self, server, arguments, folder, script):
        self._server, self.returncode = server, None
        self._texts = [Path(tempfile.mkstemp(prefix="learnrate-")[1]) for _ in range(2)]
        out, err = map(str, self._texts)
        request = {"arguments": [*map(str, arguments)], "folder": str(folder), "environment": ENVIRONMENT, "script": script}
        self.pid = server.ask({**request, "out": out, "err": err})["process"]

    def poll(self):
        """Not None if it has ended; `communicate` sets its exit code."""
        try:
            state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return self.returncode
        return 0 if state == "Z" else None

    def send_signal(self, number):
        os.kill(self.pid, number)

    def communicate(self, timeout=LIMIT):
        self.returncode = self._server.ask({"wait": self.pid}, timeout)["code"]
        texts = [path.read_text() for path in self._texts]
        for path in self._texts:
            path.unlink()
        return texts


class ForkServer:
    """Starts commands in processes in which torch is imported already: importing it takes longer than most of them."""

    def __init__(self):
        script = Path(__file__).with_name("fork_server.py")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen([sys.executable, script], env=ENVIRONMENT, text=True, **pipes)

    def ask(self, request, timeout=LIMIT):
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], timeout)
        assert ready, f"no answer within {timeout} seconds: {request}"
        return json.loads(self._process.stdout.readline())

    def start(self, *arguments, folder, script=None):
        return Forked(self, arguments, folder, script)

    def run(self, *arguments, folder, script=None):
        """Run the command line with these arguments, or the script."""
        process = self.start(*arguments, folder=folder, script=script)
        out, err = process.communicate()
        return Ended(process.returncode, out, err)

    def close(self):
        self._process.kill()
        self._process.communicate()
