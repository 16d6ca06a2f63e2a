"""What must hold on a GPU as it does on a CPU."""

import itertools
import warnings

import pytest
import torch

import learnrate as lr
from learnrate.errors import OverruledWarning

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, this machine has none")


@pytest.fixture
def toy(new_toy):
    toy = new_toy()
    toy.model.cuda()
    toy.optimizer = torch.optim.AdamW(toy.model.parameters(), lr=1e-2, fused=True)
    return toy


def batches_on(toy, device):
    return [(x.to(device), y.to(device)) for x, y in zip(toy.inputs.split(16), toy.targets.split(16), strict=True)]


def state(toy):
    parts = {f"model.{name}": value.clone() for name, value in toy.model.state_dict().items()}
    for number, parameter in enumerate(toy.model.parameters()):
        for name, value in toy.optimizer.state[parameter].items():
            parts[f"optimizer.{number}.{name}"] = value.clone()
    return {**parts, "random": torch.cuda.get_rng_state(), "host random": torch.get_rng_state()}


@pytest.mark.filterwarnings("ignore:.*iterator cannot be rewound")
@pytest.mark.parametrize("end", [None, RuntimeError, KeyboardInterrupt])
def test_everything_is_given_back_byte_for_byte(toy, end):
    calls = itertools.count(1)  # an iterator, because a nonlocal number would be put back between trials

    def loss(model, batch):
        if next(calls) >= 50 and end is not None:  # again and again: trials as one batch are made one by one if that fails
            raise end
        return toy.loss(model(batch[0]), batch[1])

    for inputs, targets in batches_on(toy, "cuda")[:3]:
        toy.optimizer.zero_grad()
        toy.loss(toy.model(inputs), targets).backward()
        toy.optimizer.step()
    before = state(toy)
    if end is None:
        lr.torch.tune(toy.model, toy.optimizer, toy.batches, loss, updates=400)
    else:
        with pytest.raises(end):
            lr.torch.tune(toy.model, toy.optimizer, toy.batches, loss, updates=400)
    after = state(toy)
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert torch.equal(value, after[name]), name


def test_batches_are_moved_to_the_models_device(toy):
    curve = lr.torch.range_test(toy.model, toy.optimizer, batches_on(toy, "cpu"), toy.loss, seed=0)
    there = lr.torch.range_test(toy.model, toy.optimizer, batches_on(toy, "cuda"), toy.loss, seed=0)
    assert curve == there
    assert curve.bounds().max_lr > 1e-4


@pytest.mark.parametrize("bad", [(0,), (6,), (6, 7, 12)])
def test_a_batch_with_a_nan_is_left_out_of_the_range_test(toy, bad):
    before = state(toy)
    batches = batches_on(toy, "cuda")
    for number in bad:
        batches[number][0][0, 0] = float("nan")
    curve = lr.torch.range_test(toy.model, toy.optimizer, batches, toy.loss, seed=0, stop=None, high=1e-2)
    assert (len(curve), curve.ended) == (100, "swept")
    assert torch.tensor(curve.losses).isfinite().all()
    assert any("left out" in note for note in curve.notes)
    for name, value in state(toy).items():
        assert torch.equal(value, before[name]), name


def test_schedules_are_evaluated_on_the_device_of_the_counts():
    value = (lr.warmup(0.1, 10) >> lr.triangular2(0.01, 0.1, 5))(torch.arange(40, device="cuda"))
    assert value.device.type == "cuda"
    assert value[20].item() == pytest.approx(0.01)


def test_a_tensor_lr_on_the_device_is_written_in_place(toy):
    optimizer = torch.optim.AdamW(toy.model.parameters(), lr=torch.tensor(0.1, device="cuda"), capturable=True, foreach=True)
    rate = optimizer.param_groups[0]["lr"]
    scheduler = lr.torch.Scheduler(optimizer, lr.linear(1.0, 0.0, 4))
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate.item() == 0.75


@pytest.mark.parametrize("kind", ["Scheduler", "attach"])
def test_another_writer_of_a_tensor_lr_on_the_device_is_noticed(toy, kind):
    optimizer = torch.optim.AdamW(toy.model.parameters(), lr=torch.tensor(0.5, device="cuda"), capturable=True, foreach=True)
    driver = getattr(lr.torch, kind)(optimizer, lr.constant(0.5))
    step = driver.step if kind == "Scheduler" else optimizer.step
    with warnings.catch_warnings():
        warnings.simplefilter("error", OverruledWarning)
        step()
    optimizer.param_groups[0]["lr"].mul_(0.5)
    with pytest.warns(OverruledWarning, match=r"0\.25"):
        step()
    assert optimizer.param_groups[0]["lr"].item() == 0.5


def test_an_expanded_buffer_comes_back_as_it_was_stored(toy):
    toy.model.register_buffer("mask", torch.zeros(1, device="cuda").expand(1000))
    lr.torch.range_test(toy.model, toy.optimizer, batches_on(toy, "cuda"), toy.loss, updates=20)
    assert toy.model.mask.stride() == (0,)
    assert toy.model.mask.untyped_storage().nbytes() == 4


def test_updates_that_a_fused_optimizer_skips_under_a_grad_scaler_do_not_count(toy):
    attachment = lr.torch.attach(toy.optimizer, lr.linear(1e-3, 0.0, 100))
    scaler = torch.amp.GradScaler("cuda", init_scale=2.0**8)
    for update, (inputs, targets) in enumerate(batches_on(toy, "cuda")[:6]):
        toy.optimizer.zero_grad()
        loss = toy.loss(toy.model(inputs), targets) * (float("inf") if update in (1, 4) else 1.0)
        scaler.scale(loss).backward()
        scaler.step(toy.optimizer)
        scaler.update()
    assert attachment.updates == 4


def test_a_captured_update_takes_every_lr_without_a_sync():
    """In a CUDA graph nothing is compiled or copied again: the schedule writes into the tensor that the graph reads."""
    parameter = torch.nn.Parameter(torch.zeros(4, device="cuda"))
    # SGD cannot be captured with a tensor LR, because it reads it on the host. Without its averages Adam moves a parameter
    # whose gradient is 1 by exactly the LR.
    averages = {"betas": (0.0, 0.0), "eps": 0.0}
    optimizer = torch.optim.Adam([parameter], lr=torch.tensor(0.1, device="cuda"), capturable=True, foreach=True, **averages)
    parameter.grad = torch.ones(4, device="cuda")
    schedule = lr.warmup(0.1, 3) >> lr.triangular2(0.01, 0.1, 2)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        optimizer.step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        optimizer.step()
    with torch.no_grad():
        parameter.zero_()
    scheduler = lr.torch.Scheduler(optimizer, schedule)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(20):
            graph.replay()
            scheduler.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    expected = -sum(schedule(n) for n in range(20))
    torch.testing.assert_close(parameter.cpu(), torch.full((4,), expected))


def test_a_range_test_waits_for_the_device_once_in_eight_updates(toy):
    data = batches_on(toy, "cuda")
    with warnings.catch_warnings(record=True) as waits:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            lr.torch.range_test(toy.model, toy.optimizer, data, toy.loss, updates=80, stop=None, restore=False)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert sum("synchronizing" in str(warning.message) for warning in waits) <= 80 / 8 + 4


@pytest.mark.parametrize("copy_to", ["device", "cpu", "disk", "auto"])
def test_everything_is_given_back_from_every_location_of_the_copy(toy, copy_to):
    before = {name: value.clone() for name, value in toy.model.state_dict().items()}
    numbers = torch.cuda.get_rng_state()
    curve = lr.torch.range_test(toy.model, toy.optimizer, batches_on(toy, "cuda"), toy.loss, copy_to=copy_to)
    assert len(curve) > 20
    for name, value in toy.model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert torch.equal(torch.cuda.get_rng_state(), numbers)


def test_everything_is_given_back_after_the_device_has_run_out_of_memory(toy):
    before = {name: value.clone() for name, value in toy.model.state_dict().items()}

    def greedy(model, batch):
        torch.empty(2**50, device="cuda")
        return toy.loss(model(batch[0]), batch[1])

    with pytest.raises(torch.OutOfMemoryError):
        lr.torch.range_test(toy.model, toy.optimizer, batches_on(toy, "cuda"), greedy)
    for name, value in toy.model.state_dict().items():
        assert torch.equal(value, before[name]), name
