"""Scheduler: a torch LRScheduler by type that resumes exactly, in whatever order things are loaded."""

import copy
import gc
import io
import pickle
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import learnrate as lr
from facts import facts
from learnrate.errors import AlreadyDrivenError, PastEndWarning
from strategies import schedules

SCHEDULE = lr.warmup(0.1, 30) >> lr.triangular2(0.01, 0.1, 20)


def optimizer_of(groups=1, lr=0.1, **more):
    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(groups)]
    return torch.optim.SGD([{"params": [parameter]} for parameter in parameters], lr=lr, **more)


def lrs(optimizer):
    return [group["lr"] for group in optimizer.param_groups]


def test_a_scheduler_is_an_lr_scheduler_that_does_not_change_the_optimizer():
    optimizer = optimizer_of()
    step = optimizer.step
    scheduler = lr.torch.Scheduler(optimizer, SCHEDULE)
    assert isinstance(scheduler, torch.optim.lr_scheduler.LRScheduler)
    assert optimizer.step == step
    assert "step" not in vars(optimizer)
    assert optimizer.param_groups[0].keys() == optimizer_of().param_groups[0].keys()


@pytest.mark.shows("torch", "schedule")
@settings(max_examples=40)
@given(schedules, st.integers(1, 3), st.integers(0, 9000))
def test_every_update_has_the_value_of_the_schedule(schedule, groups, start):
    optimizer = optimizer_of(groups)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PastEndWarning)
        scheduler = lr.torch.Scheduler(optimizer, schedule, start=start)
        for n in range(start, start + 20):
            np.testing.assert_allclose(lrs(optimizer), [schedule(n)] * groups, rtol=1e-12)
            assert scheduler.get_last_lr() == lrs(optimizer) == scheduler.get_lr()
            assert scheduler.last_epoch == n
            scheduler.step()


@pytest.mark.parametrize("length", [4, 20_000])
@pytest.mark.parametrize("relative", [False, True])
def test_a_shape_that_computes_in_single_precision_is_followed(length, relative):
    table = np.linspace(0, 1, 101, dtype=np.float32)
    schedule = lr.custom(1.0, 0.0, lambda p: table[(np.asarray(p) * 100).astype(int)], length=length)
    optimizer = torch.optim.SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in (0.1, 0.05)])
    groups = optimizer.param_groups if relative else optimizer.param_groups[:1]
    optimizer.param_groups[:] = groups
    scheduler = lr.torch.Scheduler(optimizer, schedule, relative=relative)
    for count in (0, 1, length // 2, length):
        scheduler.last_epoch = count
        assert optimizer.param_groups[0]["lr"] == pytest.approx(schedule(count))


@pytest.mark.parametrize("ratios", [(1,), (1, 1), (1, 0.5)])
@pytest.mark.parametrize("kind", ["Scheduler", "attach"])
def test_values_continue_from_one_block_to_the_next(kind, ratios):
    optimizer = torch.optim.SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": ratio} for ratio in ratios])
    driver = getattr(lr.torch, kind)(optimizer, SCHEDULE, relative=True)
    step = driver.step if kind == "Scheduler" else optimizer.step
    used = []
    for _ in range(10_000):
        used.append(lrs(optimizer))
        step()
    np.testing.assert_allclose(used, np.outer(SCHEDULE(np.arange(10_000)), ratios), rtol=1e-12)
    assert (driver.last_epoch if kind == "Scheduler" else driver.updates) == 10_000


@pytest.mark.shows("torch", "resume")
@pytest.mark.parametrize("order", ["optimizer first", "scheduler first", "optimizer before construction"])
@pytest.mark.parametrize("stop", [0, 1, 29, 30, 57, 8191, 8192, 9000])
def test_a_scheduler_resumes_exactly_in_any_order_of_loading(order, stop):
    def run(optimizer, scheduler, updates):
        used = []
        for _ in range(updates):
            used.append(lrs(optimizer))
            optimizer.step()
            scheduler.step()
        return used

    uninterrupted = optimizer_of(2)
    expected = run(uninterrupted, lr.torch.Scheduler(uninterrupted, SCHEDULE), stop + 50)[stop:]

    first = optimizer_of(2)
    scheduler = lr.torch.Scheduler(first, SCHEDULE)
    run(first, scheduler, stop)
    file = io.BytesIO()
    torch.save({"optimizer": first.state_dict(), "scheduler": scheduler.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    assert saved["scheduler"] == {"last_epoch": stop, "schedule": repr(SCHEDULE)}

    second = optimizer_of(2)
    if order == "optimizer before construction":
        second.load_state_dict(saved["optimizer"])
    resumed = lr.torch.Scheduler(second, SCHEDULE)
    if order == "optimizer first":
        second.load_state_dict(saved["optimizer"])
    resumed.load_state_dict(saved["scheduler"])
    if order == "scheduler first":
        second.load_state_dict(saved["optimizer"])
    assert run(second, resumed, 50) == expected


def test_start_is_the_number_of_updates_so_far():
    optimizer = optimizer_of()
    lr.torch.Scheduler(optimizer, SCHEDULE, start=41)
    assert lrs(optimizer) == pytest.approx([SCHEDULE(41)])


def test_the_count_can_be_set_back_and_forward():
    optimizer = optimizer_of()
    scheduler = lr.torch.Scheduler(optimizer, SCHEDULE, start=5000)
    scheduler.load_state_dict({"last_epoch": 3})
    assert lrs(optimizer) == pytest.approx([SCHEDULE(3)])
    scheduler.step(7)
    scheduler.step()
    assert lrs(optimizer) == pytest.approx([SCHEDULE(8)])
    scheduler.last_epoch = 11
    scheduler.step()
    assert lrs(optimizer) == pytest.approx([SCHEDULE(12)])


def test_groups_added_later_are_picked_up_at_the_next_update():
    optimizer = optimizer_of()
    scheduler = lr.torch.Scheduler(optimizer, SCHEDULE)
    scheduler.step()
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))]})
    scheduler.step()
    assert lrs(optimizer) == pytest.approx([SCHEDULE(2)] * 2)
    assert scheduler.last_epoch == 2


def test_one_schedule_for_each_group():
    optimizer = optimizer_of(2)
    pair = [lr.constant(0.5), lr.linear(1.0, 0.0, 10)]
    scheduler = lr.torch.Scheduler(optimizer, pair)
    scheduler.step()
    assert lrs(optimizer) == [0.5, 0.9]
    assert scheduler.base_lrs == [0.5, 1.0]
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))]})
    with pytest.raises(ValueError, match=facts("schedules", "parameter group", 2, 3)):
        scheduler.step()


def test_relative_keeps_the_ratios_of_the_groups():
    optimizer = optimizer_of(2)
    optimizer.param_groups[0]["lr"] = 0.02
    optimizer.param_groups[1]["lr"] = 0.2
    scheduler = lr.torch.Scheduler(optimizer, lr.linear(1.0, 0.0, 10), relative=True)
    assert lrs(optimizer) == pytest.approx([0.1, 1.0])
    scheduler.step()
    assert lrs(optimizer) == pytest.approx([0.09, 0.9])
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))]})
    scheduler.step()
    assert lrs(optimizer) == pytest.approx([0.08, 0.8, 0.4])


@pytest.mark.parametrize("optimizer_first", [True, False])
def test_relative_resumes_exactly_also_from_an_lr_of_zero(optimizer_first):
    def groups():
        optimizer = optimizer_of(3)
        for group, rate in zip(optimizer.param_groups, (0.3, 0.07, 0.1), strict=True):
            group["lr"] = rate
        return optimizer

    schedule = lr.triangular(0.0, 1.0, 3)
    first = groups()
    scheduler = lr.torch.Scheduler(first, schedule, relative=True)
    for _ in range(6):
        scheduler.step()
    assert lrs(first) == [0.0, 0.0, 0.0]
    second = groups()
    if optimizer_first:
        second.load_state_dict(first.state_dict())
    resumed = lr.torch.Scheduler(second, schedule, relative=True)
    if not optimizer_first:
        second.load_state_dict(first.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    for _ in range(10):
        scheduler.step()
        resumed.step()
        assert lrs(first) == lrs(second)


def test_get_last_lr_is_the_present_lr():
    optimizer = optimizer_of()
    scheduler = lr.torch.Scheduler(optimizer, SCHEDULE)
    optimizer.param_groups[0]["lr"] = 77.0
    assert scheduler.get_last_lr() == [77.0]
    assert scheduler.get_lr() == pytest.approx([SCHEDULE(0)])


def test_a_detached_scheduler_refuses_to_drive():
    optimizer = optimizer_of()
    scheduler = lr.torch.Scheduler(optimizer, SCHEDULE)
    scheduler.detach()
    lr.torch.Scheduler(optimizer, lr.constant(0.5))
    for drive in (scheduler.step, lambda: scheduler.load_state_dict({"last_epoch": 3})):
        with pytest.raises(AlreadyDrivenError, match=facts("Scheduler", "detached", "new one")):
            drive()
    assert lrs(optimizer) == [0.5]


def test_ratios_of_lrs_of_zero_are_refused():
    with pytest.raises(ValueError, match=facts("LRs", "0", "ratios")):
        lr.torch.Scheduler(optimizer_of(2, lr=0.0), SCHEDULE, relative=True)


def test_tensor_lrs_are_written_in_place():
    optimizer = optimizer_of(lr=torch.tensor(0.5))
    rate = optimizer.param_groups[0]["lr"]
    scheduler = lr.torch.Scheduler(optimizer, SCHEDULE)
    for _ in range(35):
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate.item() == pytest.approx(SCHEDULE(35))
    assert all(type(value) is float for value in scheduler.get_last_lr())


def test_warns_once_when_driven_past_the_end():
    optimizer = optimizer_of()
    scheduler = lr.torch.Scheduler(optimizer, lr.linear(1.0, 0.25, length=3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            scheduler.step()
    with pytest.warns(PastEndWarning, match=facts("lr", "past the end", "linear(start=1.0")) as caught:
        [scheduler.step() for _ in range(5000)]
    assert len(caught) == 1
    assert lrs(optimizer) == [0.25]


def test_a_scheduler_pickles_and_copies_with_its_optimizer():
    optimizer = optimizer_of()
    scheduler = lr.torch.Scheduler(optimizer, SCHEDULE)
    for _ in range(33):
        scheduler.step()
    for twin in (copy.deepcopy(scheduler), pickle.loads(pickle.dumps(scheduler))):
        assert twin.last_epoch == 33
        twin.step()
        assert lrs(twin.optimizer) == pytest.approx([SCHEDULE(34)])
        with pytest.raises(AlreadyDrivenError):
            lr.torch.Scheduler(twin.optimizer, SCHEDULE)
    assert lrs(optimizer) == pytest.approx([SCHEDULE(33)])
    with pytest.raises(AlreadyDrivenError):
        copy.copy(scheduler)


def test_torchs_chained_scheduler_accepts_it():
    optimizer = optimizer_of()
    chained = torch.optim.lr_scheduler.ChainedScheduler([lr.torch.Scheduler(optimizer, SCHEDULE)])
    for n in range(40):
        assert lrs(optimizer) == pytest.approx([SCHEDULE(n)])
        chained.step()


def test_two_drivers_are_refused():
    optimizer = optimizer_of()
    scheduler = lr.torch.Scheduler(optimizer, SCHEDULE)
    with pytest.raises(AlreadyDrivenError, match=facts("lr", "learnrate.torch.Scheduler", "detach()")):
        lr.torch.Scheduler(optimizer, SCHEDULE)
    scheduler.detach()
    other = lr.torch.Scheduler(optimizer, lr.constant(0.7))
    assert lrs(optimizer) == [0.7]
    del other
    gc.collect()
    lr.torch.attach(optimizer, SCHEDULE).detach()
    torch.optim.lr_scheduler.StepLR(optimizer, 10)
    with pytest.raises(AlreadyDrivenError, match=facts("lr", "torch LRScheduler")):
        lr.torch.Scheduler(optimizer, SCHEDULE)


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (
            lambda: lr.torch.Scheduler("sgd", SCHEDULE),
            TypeError,
            ("optimizer", "torch.optim.Optimizer", "'sgd'"),
        ),
        (lambda: lr.torch.Scheduler(optimizer_of(), 0.1), TypeError, ("schedule", "lr", 0.1, "learnrate.constant")),
        (
            lambda: lr.torch.Scheduler(optimizer_of(), "constant(1)"),
            TypeError,
            ("schedule", "'constant(1)'", "learnrate.parse"),
        ),
        (
            lambda: lr.torch.Scheduler(optimizer_of(2), [SCHEDULE]),
            ValueError,
            ("schedules", "parameter group", 1, 2),
        ),
        (lambda: lr.torch.Scheduler(optimizer_of(), []), ValueError, ("schedules", 0, 1)),
        (lambda: lr.torch.Scheduler(optimizer_of(), SCHEDULE, start=-1), ValueError, ("start", "at least 0", -1)),
        (
            lambda: lr.torch.Scheduler(optimizer_of(), SCHEDULE).load_state_dict({}),
            ValueError,
            ("state_dict", "'last_epoch'"),
        ),
        (lambda: lr.torch.Scheduler(optimizer_of(), SCHEDULE).step(1.5), TypeError, ("last_epoch", "integer", 1.5)),
    ],
)
def test_wrong_arguments_are_refused(build, error, words):
    with pytest.raises(error, match=facts(*words)):
        build()


def test_groups_that_share_one_tensor_lr_get_their_own():
    shared = torch.tensor(0.1)
    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(3)]
    optimizer = torch.optim.SGD([{"params": [parameter]} for parameter in parameters], lr=shared)
    scheduler = lr.torch.Scheduler(optimizer, [lr.linear(top, 0.0, 4) for top in (1.0, 0.5, 0.25)])
    scheduler.step()
    assert scheduler.get_last_lr() == [0.75, 0.375, 0.1875]
    assert optimizer.param_groups[0]["lr"] is shared
    assert optimizer.param_groups[2]["lr"] is not shared


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # of torch, about itself
def test_a_compiled_optimizer_with_a_tensor_lr_is_not_compiled_again():
    parameter = torch.nn.Parameter(torch.ones(4))
    optimizer = torch.optim.AdamW([parameter], lr=torch.tensor(0.1))
    eager = torch.nn.Parameter(torch.ones(4))
    reference = torch.optim.AdamW([eager], lr=torch.tensor(0.1))
    schedule = lr.warmup(0.1, 3) >> lr.triangular2(0.01, 0.1, 2)
    scheduler, reference_scheduler = lr.torch.Scheduler(optimizer, schedule), lr.torch.Scheduler(reference, schedule)
    rate = optimizer.param_groups[0]["lr"]
    compiled = torch.compile(optimizer.step, backend="eager")
    with torch._dynamo.config.patch(error_on_recompile=False):
        for update in range(12):
            parameter.grad, eager.grad = torch.ones(4), torch.ones(4)
            compiled()
            reference.step()
            scheduler.step()
            reference_scheduler.step()
            if update == 1:  # the first updates build the state
                torch._dynamo.config.error_on_recompile = True
    assert optimizer.param_groups[0]["lr"] is rate
    torch.testing.assert_close(parameter, eager)


def test_a_schedule_that_is_not_resolved_is_refused():
    with pytest.raises(ValueError, match=facts("schedule.resolve(updates)")):
        lr.torch.Scheduler(optimizer_of(), lr.wsd(0.1))
    assert lr.torch.Scheduler(optimizer_of(), lr.wsd(0.1).resolve(100)).get_last_lr() == [0.1 / 6]


def test_tensor_lrs_with_ratios_do_not_compound():
    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    groups = [{"params": [p], "lr": torch.tensor(rate)} for p, rate in zip(parameters, (0.4, 0.1), strict=True)]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    scheduler = lr.torch.Scheduler(optimizer, lr.triangular(0.1, 0.2, 5), relative=True)
    for _ in range(20):
        scheduler.step()
    assert scheduler.get_last_lr() == pytest.approx([0.1, 0.025])
    assert optimizer.param_groups[0]["initial_lr"] == pytest.approx(0.4)


def test_a_refused_scheduler_has_changed_nothing():
    optimizer = optimizer_of()
    lr.torch.Scheduler(optimizer, lr.constant(0.1))  # deleted at once, so it drives nothing
    driver = lr.torch.Scheduler(optimizer, lr.constant(0.1))
    before = [dict(group) for group in optimizer.param_groups]
    with pytest.raises(AlreadyDrivenError):
        lr.torch.Scheduler(optimizer, lr.constant(0.2), relative=True)
    with pytest.raises(AlreadyDrivenError):
        lr.torch.attach(optimizer, lr.constant(0.2), relative=True)
    assert [dict(group) for group in optimizer.param_groups] == before
    assert driver.get_last_lr() == [0.1]


def test_a_scheduler_that_could_not_be_built_drives_nothing():
    optimizer = optimizer_of()
    table = [0.1] * 9000
    with pytest.raises(IndexError) as refused:
        lr.torch.Scheduler(optimizer, lr.function(lambda n: table[n]), start=9000)
    assert lr.torch.Scheduler(optimizer, lr.constant(0.1)).last_epoch == 0
    assert refused.type is IndexError  # its traceback holds the scheduler until here


def test_an_integer_tensor_lr_is_refused():
    optimizer = optimizer_of(lr=torch.tensor(1))
    with pytest.raises(ValueError, match=facts("lr", "tensor", "float")):
        lr.torch.Scheduler(optimizer, lr.constant(0.5))


@pytest.mark.parametrize("state", [None, 3, {}, {"last_epoch": 2**64}, {"last_epoch": -1}, {"last_epoch": "3"}])
def test_a_wrong_state_is_refused(state):
    scheduler = lr.torch.Scheduler(optimizer_of(), lr.constant(0.1))
    with pytest.raises((ValueError, TypeError), match=r"state_dict|last_epoch"):
        scheduler.load_state_dict(state)
