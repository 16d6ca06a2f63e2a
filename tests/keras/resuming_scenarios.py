"""A training with a checkpoint before every update, and one that goes on in another process."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import resuming
from reporting import BACKEND, FOLDER, scenario


@scenario
def resumed():
    undisturbed = resuming.RECIPE.trainable(seed=1)
    beginning = undisturbed.fingerprint()
    losses = resuming.losses_of(undisturbed, 0)
    training, others = resuming.RECIPE.trainable(seed=1), []
    for update in range(resuming.UPDATES):
        checkpoint = training.checkpoint()
        if update == resuming.STOP:
            (FOLDER / f"{BACKEND}.pickle").write_bytes(pickle.dumps(checkpoint))
        others += resuming.losses_of(training, update, update + 1)
    script = Path(resuming.__file__)
    done = subprocess.run([sys.executable, str(script), BACKEND, str(FOLDER)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return {
        "losses": losses,
        "with checkpoints": others,
        "fingerprints": [undisturbed.fingerprint(), training.fingerprint()],
        "beginning": beginning,
        "there": json.loads(done.stdout.splitlines()[-1]),
        "stop": resuming.STOP,
    }
