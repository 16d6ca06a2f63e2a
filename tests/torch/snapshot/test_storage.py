"""Where copies live: on the device, in main memory, or on disk, in which case everything is given back too."""

import copy
import os
import random
import signal
import subprocess
import sys
import tempfile
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import learnrate as lr
from disks import full_disk
from facts import facts
from learnrate.errors import OutputError
from learnrate.torch.snapshot import TensorStorage, storage

PLACES = ["device", "cpu", "disk"]


def plain(value):
    """The content of a value, as bytes and plain objects."""
    if isinstance(value, torch.Tensor):
        return value.dtype, tuple(value.shape), value.detach().contiguous().view(-1).numpy().tobytes()
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    return repr(value)


def everything(toy, scaler, scheduler):
    optimizer = toy.optimizer
    return plain(
        {
            "model": dict(toy.model.state_dict()),
            "gradients": [p.grad for p in toy.model.parameters()],
            "optimizer": optimizer.state_dict(),
            "called": {name: vars(optimizer).get(name) for name in ("_opt_called", "_step_count")},
            "scaler": vars(scaler),
            "scheduler": scheduler.state_dict(),
            "modes": [module.training for module in toy.model.modules()],
            "trained": [p.requires_grad for p in toy.model.parameters()],
            "random": [random.getstate(), *map(str, np.random.get_state()), torch.get_rng_state()],
        }
    )


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")  # because the scaler skips the first update
@pytest.mark.parametrize("copy_to", PLACES)
@pytest.mark.parametrize("end", [None, RuntimeError, KeyboardInterrupt, torch.OutOfMemoryError])
@pytest.mark.parametrize("warm", [False, True])
def test_batch_norm_dropout_adamw_scaler_and_scheduler_are_given_back(toy, copy_to, end, warm):
    toy.optimizer = torch.optim.AdamW(toy.model.parameters(), lr=1e-3)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(toy.optimizer, 100)

    def train(updates):
        for inputs, targets in list(toy.batches)[:updates]:
            toy.optimizer.zero_grad()
            scaler.scale(8 * toy.loss(toy.model(inputs), targets)).backward()
            scaler.step(toy.optimizer)
            scaler.update()
            scheduler.step()

    if warm:
        train(5)
    before = everything(toy, scaler, scheduler)

    def disturb():
        with lr.torch.preserve(toy.model, toy.optimizer, scaler, scheduler, toy.batches, copy_to=copy_to) as preserved:
            assert preserved.where == copy_to
            train(10)
            toy.model[0].requires_grad_(False)
            toy.model.eval()
            if end is not None:
                raise end

    with pytest.raises(end) if end else nullcontext():
        disturb()
    assert everything(toy, scaler, scheduler) == before
    train(5)  # everything still works


@pytest.mark.parametrize("copy_to", PLACES)
def test_the_range_test_with_a_scaler_and_a_scheduler_gives_everything_back(toy, copy_to):
    toy.optimizer = torch.optim.AdamW(toy.model.parameters(), lr=1e-3)
    scaler = torch.amp.GradScaler("cpu")
    scheduler = torch.optim.lr_scheduler.OneCycleLR(toy.optimizer, 0.1, total_steps=50)
    before = everything(toy, scaler, scheduler)
    lr.torch.range_test(
        toy.model, toy.optimizer, toy.batches, toy.loss, scaler=scaler, also_keep=[scheduler], copy_to=copy_to
    )
    assert everything(toy, scaler, scheduler) == before


def test_size_is_the_bytes_of_weights_moments_and_gradients(toy):
    def size(optimizer):
        with lr.torch.preserve(toy.model, optimizer) as preserved:
            return preserved.size

    weights = sum(p.nbytes for p in toy.model.parameters()) + sum(b.nbytes for b in toy.model.buffers())
    assert size(toy.optimizer) == weights
    toy.train(1)
    # Momentum and gradients.
    assert size(toy.optimizer) == weights + 2 * sum(p.nbytes for p in toy.model.parameters())
    with lr.torch.preserve(toy.model, toy.optimizer, restore=False) as preserved:
        assert (preserved.size, preserved.where, str(preserved)) == (0, "nowhere", "nothing")
        toy.train(1)


@pytest.mark.parametrize(("free", "where"), [(10**9, "device"), (1000, "disk")])
def test_by_default_the_copy_goes_where_there_is_room(toy, monkeypatch, free, where):
    monkeypatch.setattr(storage, "_free", lambda device: free)
    with lr.torch.preserve(toy.model, toy.optimizer) as preserved:
        assert preserved.where == where
    assert storage.choose_location("auto", [torch.zeros(10)]) == "device"


def test_the_free_memory_is_that_of_the_machine():
    free = storage._free(torch.device("cpu"))
    assert 10**7 < free < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


PEAK = """
import resource, sys, torch, learnrate as lr
from pathlib import Path

def peak():
    return next(int(line.split()[1]) * 1024 for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in
    line)

model = torch.nn.Linear(5000, 5000, bias=False)
optimizer = torch.optim.AdamW(model.parameters())
model(torch.ones(2, 5000)).sum().backward()
optimizer.step()
optimizer.zero_grad()
state = 3 * model.weight.nbytes
Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
before = peak()
with lr.torch.preserve(model, optimizer, copy_to=sys.argv[1]):
    with torch.no_grad():
        model.weight.zero_()
print((peak() - before) / state)
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="needs the memory statistics of Linux")  # noqa: PTH110
@pytest.mark.parametrize(("copy_to", "most"), [("device", 1.02), ("disk", 0.4)])
def test_the_peak_of_memory_is_one_copy_of_the_state_and_on_disk_one_tensor(copy_to, most):
    command = [sys.executable, "-c", PEAK, copy_to]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    assert float(done.stdout) < most


def test_a_full_disk_raises_output_error_and_changes_nothing(toy):
    before = copy.deepcopy(toy.model.state_dict())
    with full_disk(room=100), pytest.raises(OutputError, match=facts("copy", "disk", "TMPDIR", "copy_to")):
        lr.torch.range_test(toy.model, toy.optimizer, toy.batches, toy.loss, copy_to="disk")
    for name, value in toy.model.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.complex64, torch.bool, torch.int64, torch.uint8])
@pytest.mark.parametrize(
    "make", [lambda t: t, lambda t: t.T, lambda t: t[0, 0], lambda t: t[:, :0]], ids=["", "T", "0-d", "empty"]
)
def test_every_dtype_and_layout_survives_the_disk(dtype, make):
    tensor = make(torch.arange(12).reshape(3, 4).to(dtype))
    on_disk = TensorStorage("disk")
    stored = on_disk.store(tensor)
    assert torch.equal(stored(), tensor)
    assert on_disk.size == tensor.nbytes


def test_interrupts_wait_until_everything_is_put_back(toy):
    class Interrupted:
        """Receives two interrupts while it is put back."""

        def state_dict(self):
            return {}

        def load_state_dict(self, state):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    before = copy.deepcopy(toy.model.state_dict())
    with pytest.raises(KeyboardInterrupt), lr.torch.preserve(toy.model, toy.optimizer, Interrupted()):
        toy.train(3)
    for name, value in toy.model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


class NotRestorable:
    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        raise ZeroDivisionError


def open_files():
    for path in list(Path("/proc/self/fd").iterdir()):
        with suppress(FileNotFoundError):  # the folder itself was open
            yield str(path.readlink())


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are found in /proc")
@pytest.mark.parametrize("function", [lr.torch.range_test, partial(lr.torch.tune, updates=300, budget="60 updates")])
def test_the_disk_is_freed_also_if_putting_back_fails(toy, tmp_path, monkeypatch, function):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    arguments = (toy.model, toy.optimizer, toy.batches, toy.loss)
    with pytest.raises(ZeroDivisionError) as error:  # which keeps the frames, and with them every local variable
        function(*arguments, also_keep=[NotRestorable()], copy_to="disk")
    assert not [path for path in open_files() if str(tmp_path) in path]
    del error


def test_a_copy_on_disk_without_a_folder_raises_output_error(toy, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(OutputError, match=facts("disk", "No such file or directory", "TMPDIR")):
        lr.torch.range_test(toy.model, toy.optimizer, toy.batches, toy.loss, copy_to="disk")
