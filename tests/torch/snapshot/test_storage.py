"""Where copies live, and what is given back beside model and optimizer: scalers, schedulers, loaders, generators, flags."""

import copy
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, DistributedSampler

import learnrate as lr
from learnrate.errors import NotRewoundWarning, OutputError
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


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")  # the scaler skips the first update, as it should
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
    return next(int(line.split()[1]) * 1024 for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)

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


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="needs the memory statistics of Linux")  # noqa: PTH110
@pytest.mark.parametrize(("copy_to", "most"), [("device", 1.02), ("disk", 0.4)])
def test_the_peak_is_one_copy_of_the_state_and_on_disk_one_tensor(copy_to, most):
    command = [sys.executable, "-c", PEAK, copy_to]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    assert float(done.stdout) < most


def test_a_full_disk_raises_output_error_and_changes_nothing(toy):
    before = copy.deepcopy(toy.model.state_dict())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))  # no file may be larger
    try:
        with pytest.raises(OutputError, match=r"cannot keep a copy on disk: .* set TMPDIR"):
            lr.torch.range_test(toy.model, toy.optimizer, toy.batches, toy.loss, copy_to="disk")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
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


class Numbers(Dataset):
    def __len__(self):
        return 64

    def __getitem__(self, index):
        return torch.full((6,), float(index)), index % 2


class Stateful:
    """A loader that saves its position, like those of torchdata."""

    def __init__(self):
        self.position = 0

    def __iter__(self):
        while self.position < 64:
            self.position += 1
            yield torch.randn(4, 6), torch.zeros(4, dtype=torch.long)

    def state_dict(self):
        return {"position": self.position}

    def load_state_dict(self, state):
        self.position = state["position"]


def test_a_stateful_loader_keeps_its_position(toy):
    loader = Stateful()
    iterator = iter(loader)
    next(iterator)
    lr.torch.range_test(toy.model, toy.optimizer, loader, toy.loss, updates=20, stop=None)
    assert loader.position == 1


def test_a_sampler_keeps_its_epoch(toy):
    sampler = DistributedSampler(Numbers(), num_replicas=2, rank=0)
    sampler.set_epoch(5)
    loader = DataLoader(Numbers(), 4, sampler=sampler)
    with lr.torch.preserve(toy.model, toy.optimizer, loader):
        sampler.set_epoch(9)
    assert sampler.epoch == 5


def test_persistent_workers_go_on_in_the_middle_of_an_epoch(toy):
    # Spawned, because other tests may have loaded JAX into this process, whose threads do not survive a fork.
    loader = DataLoader(Numbers(), 4, num_workers=1, persistent_workers=True, multiprocessing_context="spawn")
    iterator = iter(loader)
    values = [next(iterator)[0][0, 0].item() for _ in range(2)]
    lr.torch.range_test(toy.model, toy.optimizer, loader, toy.loss, updates=20, stop=None)
    values += [batch[0][0, 0].item() for batch in iterator]
    assert values == [4.0 * n for n in range(16)]


@pytest.mark.parametrize(
    "generator",
    [torch.Generator().manual_seed(3), np.random.default_rng(3), random.Random(3)],
    ids=["torch", "numpy", "python"],
)
def test_generators_are_given_back(toy, generator):
    def draw():
        if isinstance(generator, torch.Generator):
            return torch.rand(1, generator=generator).item()
        return generator.random()

    with lr.torch.preserve(toy.model, toy.optimizer, generator):
        inside = draw()
    assert draw() == inside


def test_flags_are_given_back(toy):
    with lr.torch.preserve(toy.model, toy.optimizer):
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = True
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.set_float32_matmul_precision("medium")
    assert not torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.benchmark
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.get_float32_matmul_precision() == "highest"


def test_a_module_that_is_replaced_is_put_back(toy):
    layer, weight = toy.model[0], toy.model[4].weight
    with lr.torch.preserve(toy.model, toy.optimizer):
        toy.model[0] = nn.Linear(6, 16)
        toy.model[4].weight = nn.Parameter(torch.zeros(2, 16))
        toy.model.add_module("extra", nn.ReLU())
    assert toy.model[0] is layer
    assert toy.model[4].weight is weight
    assert len(toy.model) == 5


def test_an_iterator_is_named_in_a_warning_at_the_users_line(toy):
    with (
        pytest.warns(NotRewoundWarning, match="list_iterator") as caught,
        lr.torch.preserve(toy.model, toy.optimizer, iter([1])),
    ):
        pass
    assert [warning.filename for warning in caught] == [__file__]


def test_an_object_without_state_is_refused(toy):
    with pytest.raises(TypeError, match="received 3"), lr.torch.preserve(toy.model, toy.optimizer, 3):
        pass


def test_dtypes_shapes_and_sparse_tensors_are_given_back(toy):
    toy.train(1)  # with gradients, whose dtype would not fit another parameter
    toy.model.register_buffer("sparse", torch.eye(3).to_sparse())
    before = copy.deepcopy(toy.model.state_dict())
    with lr.torch.preserve(toy.model, toy.optimizer):
        toy.model.half()
        toy.model[4].weight.data = torch.ones(5, 8)
        toy.model.sparse.mul_(0)
    for name, value in toy.model.state_dict().items():
        assert value.dtype == before[name].dtype
        assert torch.equal(value.to_dense(), before[name].to_dense()), name


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


def test_random_numbers_that_state_dict_draws_are_given_back(toy):
    class Drawing(Stateful):
        def state_dict(self):
            torch.rand(1)
            return super().state_dict()

    before = torch.get_rng_state()
    with lr.torch.preserve(toy.model, toy.optimizer, Drawing()):
        pass
    assert torch.equal(torch.get_rng_state(), before)


def test_tensors_and_legacy_generators_are_given_back(toy):
    tensor, legacy = torch.zeros(3), np.random.RandomState(3)
    with lr.torch.preserve(toy.model, toy.optimizer, tensor, legacy):
        tensor.add_(1)
        inside = legacy.rand()
    assert not tensor.any()
    assert legacy.rand() == inside


def test_the_precision_of_matrix_products_is_given_back_also_if_set_per_backend():
    code = (
        "import torch, learnrate as lr\n"
        "torch.backends.mkldnn.matmul.fp32_precision = 'tf32'\n"
        "model = torch.nn.Linear(1, 1); optimizer = torch.optim.SGD(model.parameters())\n"
        "with lr.torch.preserve(model, optimizer):\n"
        "    torch.backends.mkldnn.matmul.fp32_precision = 'ieee'\n"
        "print(torch.backends.mkldnn.matmul.fp32_precision)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "tf32\n"


def test_a_copy_on_disk_without_a_folder_raises_output_error(toy, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(OutputError, match="cannot keep a copy on disk: No such file or directory: set TMPDIR"):
        lr.torch.range_test(toy.model, toy.optimizer, toy.batches, toy.loss, copy_to="disk")
