"""What happens on one backend of Keras, told as facts: `scenarios.py BACKEND FOLDER` writes them to FOLDER/BACKEND.json.

Keras takes its backend when it is imported, so each backend has a process of its own, which conftest.py starts once. It
starts one fresh process, for all that must be shown in one: to import Keras takes longer than most scenarios.
"""

import json
import subprocess
import sys
import time
import traceback

from reporting import AFTERWARDS, BACKEND, FOLDER, SCENARIOS  # first: it chooses the backend

import line_scenarios  # noqa: F401 # isort: skip
import compare_scenarios  # noqa: F401 # isort: skip
import network_scenarios  # noqa: F401 # isort: skip
import control_scenarios  # noqa: F401 # isort: skip
import real_control_scenarios  # noqa: F401 # isort: skip
import resuming_scenarios  # noqa: F401 # isort: skip


def run(scenarios):
    facts = {}
    for name, function in scenarios.items():
        began = time.process_time()
        try:
            facts[name] = function()
        except BaseException:
            facts[name] = {"failed": traceback.format_exc()}
        facts[name]["seconds"] = round(time.process_time() - began, 1)
    return facts


def run_afterwards():
    strict = [f"-W{option}" for option in sys.warnoptions]
    command = [sys.executable, *strict, __file__, BACKEND, str(FOLDER), "afterwards"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads((FOLDER / f"{BACKEND}-afterwards.json").read_text())


def main(*chosen):
    """All scenarios, or those of these names."""
    if chosen == ("afterwards",):
        (FOLDER / f"{BACKEND}-afterwards.json").write_text(json.dumps(run(AFTERWARDS)))
        return
    facts = run({name: SCENARIOS[name] for name in chosen or SCENARIOS})
    facts |= {} if chosen else run_afterwards()
    (FOLDER / f"{BACKEND}.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main(*sys.argv[3:])
