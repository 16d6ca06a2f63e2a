"""Two processes of `jax.distributed` train on arrays that both share."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("jax")

import learnrate as lr

SCHEDULE = lr.warmup(0.1, 4) >> lr.cosine(0.1, 0.0, 12)


def free_port():
    with socket.socket() as listening:
        listening.bind(("localhost", 0))
        return listening.getsockname()[1]


@pytest.mark.heavy
@pytest.mark.xdist_group("jax")
@pytest.mark.shows("jax", "many processes")
@pytest.mark.shows("jax", "control")
def test_two_processes_use_the_same_lrs_and_choose_the_same_plan():
    command = [sys.executable, str(Path(__file__).with_name("process.py"))]
    port = str(free_port())
    # Without the folder of compilations, which both would write and read at the same time.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "JAX_ENABLE_COMPILATION_CACHE": "false"}
    started = [
        subprocess.Popen([*command, str(rank), port], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
        for rank in (0, 1)
    ]
    try:
        outputs = [process.communicate(timeout=900) for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
    assert [process.returncode for process in started] == [0, 0], outputs
    first, second = (json.loads(output.splitlines()[-1]) for output, _ in outputs)
    assert first == second
    assert first["size"] == 2
    assert first["batch"] == 16  # examples in an update, over both processes
    # Controllers inside of jit; the request of process 0 is applied after updates 1, 3, ...
    factors = [0.5 ** (n // 3) * (0.25 if n >= 4 else 1.0) for n in range(8)]
    assert first["inside"] == pytest.approx([factor * SCHEDULE(n) for n, factor in enumerate(factors)], rel=1e-5)
    schedule = lr.parse(first["inside schedule"])
    assert [schedule(n) for n in range(8)] == pytest.approx(first["inside"], rel=1e-5)
    # And around the updates: means of losses; what one process cannot use, none does.
    assert first["seen"] == pytest.approx([0.5 + n / 3 for n in range(8) if n != 4], rel=1e-6)
    assert first["updates"] == 7
    schedule = lr.parse(first["outside schedule"])
    used = [rate for n, rate in enumerate(first["outside"]) if n != 4]
    assert used == pytest.approx([schedule(n) for n in range(7)], rel=1e-5)
    assert schedule(3) == pytest.approx(0.5 * 0.25 * SCHEDULE(3))
    assert first["lrs"] == pytest.approx([SCHEDULE(n) for n in (0, 1, 2, 9, 10, 11)], rel=1e-5)
