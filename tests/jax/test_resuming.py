"""Trainings in JAX that go on in another process: every later loss and the weights are equal, bit for bit."""

import json
import pickle
import random
import subprocess
import sys

import pytest

jax = pytest.importorskip("jax")
pytest.importorskip("optax")

from tests.jax.resuming import CASES, UPDATES, build, losses_of  # noqa: E402

from facts import facts  # noqa: E402
from learnrate.trainable import NotResumableError  # noqa: E402

pytestmark = [pytest.mark.xdist_group("resuming"), pytest.mark.slow]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What a training without checkpoints, one with a checkpoint before every update, and one in a new process gave."""
    jax.config.update("jax_disable_most_optimizations", True)  # it compiles for longer than it runs
    folder, draw, here = tmp_path_factory.mktemp("resuming"), random.Random(18), {}
    for name in CASES:
        undisturbed, stop, others = build(name), draw.randrange(1, UPDATES), []
        losses = losses_of(undisturbed, 0)
        training = build(name)
        for update in range(UPDATES):
            checkpoint = training.checkpoint()
            if update == stop:
                (folder / f"{name}.pickle").write_bytes(pickle.dumps((update, checkpoint)))
            others += losses_of(training, update, update + 1)
        here[name] = (stop, losses, others, undisturbed.fingerprint(), training.fingerprint())
    jax.config.update("jax_disable_most_optimizations", False)
    command = [sys.executable, "-c", "from tests.jax.resuming import main; main()", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return here, json.loads(result.stdout)


@pytest.mark.parametrize("name", CASES)
def test_a_training_goes_on_in_another_process_as_if_nothing_had_happened(outcomes, name):
    stop, losses, others, fingerprint, other_fingerprint = outcomes[0][name]
    assert others == losses
    assert other_fingerprint == fingerprint
    resumed, resumed_fingerprint = outcomes[1][name]
    assert resumed == losses[stop:]
    assert resumed_fingerprint == fingerprint
    assert len(set(losses)) == UPDATES


def test_the_checkpoint_of_another_training_is_refused():
    with pytest.raises(NotResumableError, match=facts("another training", "arrays")):
        build("noise").resume(build("accumulated").checkpoint())
