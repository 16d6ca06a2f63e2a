"""Trainings that stop at some update and go on in another process: every later loss and the weights are equal, bit for bit."""

import json
import pickle
import random
import subprocess
import sys

import pytest
from tests.torch.training.resuming import CASES, UPDATES, losses_of

pytestmark = [pytest.mark.xdist_group("resuming"), pytest.mark.slow]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What a training without checkpoints, one with a checkpoint before every update, and one in a new process gave."""
    folder, draw = tmp_path_factory.mktemp("resuming"), random.Random(18)
    here = {}
    for name, build in CASES.items():
        undisturbed, stop = build(), draw.randrange(1, UPDATES)
        losses = losses_of(undisturbed, 0)
        state, other_losses, trainable = random.getstate(), [], build()
        for update in range(UPDATES):
            checkpoint = trainable.checkpoint()
            if update == stop:
                (folder / f"{name}.pickle").write_bytes(pickle.dumps((update, checkpoint)))
            other_losses += losses_of(trainable, update, update + 1)
        random.setstate(state)
        here[name] = (stop, losses, other_losses, undisturbed.fingerprint(), trainable.fingerprint(), undisturbed.notes(100))
    command = [sys.executable, "-c", "from tests.torch.training.resuming import main; main()", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return here, json.loads(result.stdout)


@pytest.mark.parametrize("name", CASES)
def test_a_checkpoint_before_every_update_changes_nothing(outcomes, name):
    _, losses, with_checkpoints, fingerprint, other_fingerprint, _ = outcomes[0][name]
    assert with_checkpoints == losses
    assert other_fingerprint == fingerprint
    assert len(set(losses)) > UPDATES // 2


@pytest.mark.parametrize("name", CASES)
def test_a_training_goes_on_in_another_process_as_if_nothing_had_happened(outcomes, name):
    stop, losses, _, fingerprint, _, notes = outcomes[0][name]
    resumed, fingerprint_there, of_the_second, notes_there = outcomes[1][name]
    assert resumed == losses[stop:]
    assert fingerprint_there == of_the_second == fingerprint
    assert notes_there == notes
