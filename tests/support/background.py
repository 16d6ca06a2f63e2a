"""Programs that take a minute run beside the tests from their start: `python background.py FOLDER PID` runs what FOLDER lists.

Most of their time they wait: for processes that are slow on purpose, for time limits. A worker of pytest that waited with
them would leave its core idle. Their tests come after other slow tests, and find them ended.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

LIMIT = 1200
"""Seconds that a program may take: half a minute, but much longer on a busy machine."""

WAIT = 0.05
"""Seconds between two looks at whether a program has ended."""


@dataclass(frozen=True)
class Program:
    """What runs.

    Attributes:
        name: By which its tests ask for it.
        command: Its command line.
        environment: Variables of the environment besides those of the tests.
    """

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)


class Background:
    """The programs of a run of pytest, which all its workers share.

    Args:
        run: Name of the run of pytest.
    """

    def __init__(self, run):
        self.folder = Path(tempfile.gettempdir()) / f"learnrate-background-{run}"

    def start(self, programs, pid):
        """Run programs one after the other, as long as the process `pid` exists; then their files are removed."""
        shutil.rmtree(self.folder, ignore_errors=True)  # of an earlier process of this number
        self.folder.mkdir()
        (self.folder / "programs.json").write_text(json.dumps([asdict(program) for program in programs]))
        os.posix_spawn(sys.executable, [sys.executable, __file__, str(self.folder), str(pid)], os.environ)

    def folder_of(self, name):
        """Where a program may write."""
        return self.folder / name

    def ended(self, name):
        """Wait for a program; returns what it wrote to stderr.

        Raises:
            AssertionError: if it failed, or did not end in time.
        """
        path, limit = self.folder / f"{name}.ended", time.monotonic() + 2 * LIMIT
        while not path.exists():
            assert self.folder.exists(), f"nothing runs {name}"
            assert time.monotonic() < limit, f"{name} has not ended"
            time.sleep(WAIT)
        ended = json.loads(path.read_text())
        assert ended["code"] == 0, ended["stderr"][-3000:]
        return ended["stderr"]


def main(folder, pid):
    running = None

    def end_with_pytest():
        while exists(pid):
            time.sleep(0.5)
        if running is not None:
            running.kill()
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(0)

    watch = threading.Thread(target=end_with_pytest)
    watch.start()
    for program in [Program(**entry) for entry in json.loads((folder / "programs.json").read_text())]:
        (folder / program.name).mkdir()
        with (folder / f"{program.name}.stderr").open("w+") as stderr:
            environment = os.environ | program.environment
            running = subprocess.Popen(program.command, stdout=stderr, stderr=stderr, env=environment)
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(LIMIT)
            running.kill()
            running.wait()
            stderr.seek(0)
            ended = {"code": running.returncode, "stderr": stderr.read()}
        path = folder / f"{program.name}.json"
        path.write_text(json.dumps(ended))
        path.rename(path.with_suffix(".ended"))
    watch.join()


def exists(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
