"""What happens on one backend of Keras, told as facts: `scenarios.py BACKEND FOLDER` writes them to FOLDER/BACKEND.json.

Keras takes its backend when it is imported, so each backend has a process of its own, which test_keras.py starts once.
"""

import json
import sys
import time
import traceback

from reporting import BACKEND, FOLDER, SCENARIOS  # first: it chooses the backend

import line_scenarios  # isort: skip
import compare_scenarios  # noqa: F401 # isort: skip
import network_scenarios  # noqa: F401 # isort: skip
import control_scenarios  # noqa: F401 # isort: skip
import real_control_scenarios  # noqa: F401 # isort: skip
import resuming_scenarios  # noqa: F401 # isort: skip


def main():
    chosen = sys.argv[3:] or SCENARIOS
    facts = {}
    for name in chosen:
        began = time.process_time()
        try:
            facts[name] = (SCENARIOS | {"loaded": line_scenarios.loaded})[name]()
        except BaseException:
            facts[name] = {"failed": traceback.format_exc()}
        facts[name]["seconds"] = round(time.process_time() - began, 1)
    (FOLDER / f"{BACKEND}.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main()
