"""What a driver says of itself, what it saves, a change of plan in mid-run, and what is left when it is deleted."""

import copy
import gc
import sys
import warnings
import weakref

import pytest
import torch

import learnrate as lr
from facts import facts, tells
from learnrate.errors import AlreadyDrivenError, OtherScheduleWarning

LONG, SHORT = lr.cosine(0.1, 0.0, 86_000), lr.cosine(0.1, 0.0, 50_000)


def optimizer_of(groups=1, **more):
    return torch.optim.SGD([{"params": [torch.nn.Parameter(torch.ones(1))]} for _ in range(groups)], lr=0.1, **more)


def lrs(optimizer):
    return [float(group["lr"]) for group in optimizer.param_groups]


KINDS = pytest.mark.parametrize("kind", ["Scheduler", "attach"])
COUNT = {"Scheduler": "last_epoch", "attach": "updates"}


def drive(kind, optimizer, schedule, **more):
    return getattr(lr.torch, kind)(optimizer, schedule, **more)


def step(driver, optimizer):
    optimizer.step()
    if isinstance(driver, lr.torch.Scheduler):
        driver.step()


@KINDS
def test_loading_a_state_of_another_schedule_names_both_lrs(kind):
    state = drive(kind, optimizer_of(), LONG, start=43_212).state_dict()
    optimizer = optimizer_of()
    driver = drive(kind, optimizer, SHORT)
    words = ("lr", 43_212, f"{LONG(43_212):.6g}", f"{SHORT(43_212):.6g}", "86000", "50000")
    with pytest.warns(OtherScheduleWarning, match=facts(*words)) as caught:
        driver.load_state_dict(state)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert getattr(driver, COUNT[kind]) == 43_212
    assert lrs(optimizer) == [SHORT(43_212)]


@KINDS
@pytest.mark.parametrize("schedule", [LONG, [LONG, SHORT], lr.function(lambda n: 0.1)])
def test_a_state_of_the_same_schedule_loads_in_silence(kind, schedule):
    groups = len(schedule) if isinstance(schedule, list) else 1
    optimizer = optimizer_of(groups)
    state = drive(kind, optimizer_of(groups), schedule, start=7).state_dict()
    driver = drive(kind, optimizer, schedule)
    driver.load_state_dict(state)
    assert getattr(driver, COUNT[kind]) == 7
    assert driver.state_dict() == state


@KINDS
def test_a_state_with_the_count_alone_loads_in_silence(kind):
    driver = drive(kind, optimizer_of(), LONG)
    driver.load_state_dict({COUNT[kind]: 12})
    assert getattr(driver, COUNT[kind]) == 12


@KINDS
def test_a_schedule_that_was_resolved_is_saved_as_numbers(kind):
    plan = lr.wsd(0.1, cooldown="20%")
    driver = drive(kind, optimizer_of(), plan.resolve(1000), start=5)
    other = drive(kind, optimizer_of(), plan.resolve(2000))
    with pytest.warns(OtherScheduleWarning, match=facts("lr", 5)):
        other.load_state_dict(driver.state_dict())


def test_a_schedule_spelled_in_another_way_is_the_same():
    scheduler = lr.torch.Scheduler(optimizer_of(), lr.cosine(0.1, 0.0, 100))
    scheduler.load_state_dict({"last_epoch": 3, "schedule": "cosine(0.1, 0, 100)"})
    with pytest.warns(OtherScheduleWarning, match=facts("unknown_part(3)")):
        scheduler.load_state_dict({"last_epoch": 3, "schedule": "unknown_part(3)"})


@pytest.mark.parametrize("saved", [5, [], ["constant(1)", None], {}])
def test_a_text_that_is_none_is_refused(saved):
    scheduler = lr.torch.Scheduler(optimizer_of(), LONG)
    with pytest.raises(ValueError, match=facts("schedule", "state_dict", "text")):
        scheduler.load_state_dict({"last_epoch": 3, "schedule": saved})
    with pytest.raises(ValueError, match=facts("schedules", "state_dict", "mapping")):
        lr.torch.attach(optimizer_of(), LONG).load_state_dict({"updates": 3, "schedules": 5})


def test_each_hyper_parameter_is_compared_with_its_own_schedule():
    def attached(momentum):
        return lr.torch.attach(optimizer_of(momentum=0.9), LONG, momentum=lr.constant(momentum))

    state = attached(0.8).state_dict()
    with pytest.warns(OtherScheduleWarning) as caught:
        attached(0.7).load_state_dict(state)
    assert [tells(str(w.message), "momentum", 0.8, 0.7) for w in caught] == [True]


@pytest.mark.parametrize("saved", [{"momentum": lr.constant(0.8)}, {}])
def test_a_hyper_parameter_that_was_driven_or_was_not_is_named(saved):
    def attached(schedules):
        return lr.torch.attach(optimizer_of(momentum=0.9), LONG, **schedules)

    present = {} if saved else {"momentum": lr.constant(0.8)}
    with pytest.warns(OtherScheduleWarning, match=facts("momentum", "update 0")) as caught:
        attached(present).load_state_dict(attached(saved).state_dict())
    assert len(caught) == 1
    attached(present).load_state_dict({"updates": 3})  # in silence: it does not say what was driven


@KINDS
def test_a_detached_driver_says_so(kind):
    driver = drive(kind, optimizer_of(), LONG)
    assert not tells(repr(driver), "detached")
    driver.detach()
    assert tells(repr(driver), "update 0", "detached", "0.1")


@KINDS
def test_one_schedule_for_all_groups_is_the_same_as_one_for_each(kind):
    for_all, for_each = drive(kind, optimizer_of(2), LONG), drive(kind, optimizer_of(2), [LONG, LONG])
    for_all.load_state_dict(for_each.state_dict())
    for_each.load_state_dict(for_all.state_dict())
    with pytest.warns(OtherScheduleWarning):
        for_all.load_state_dict(drive(kind, optimizer_of(2), [LONG, lr.constant(1.0)]).state_dict())


@KINDS
@pytest.mark.parametrize("tensor", [False, True])
def test_replace_changes_the_plan_in_mid_run(kind, tensor):
    optimizer = optimizer_of()
    if tensor:
        optimizer.param_groups[0]["lr"] = torch.tensor(0.1, dtype=torch.float64)
    driver = drive(kind, optimizer, lr.linear(1.0, 0.0, 100))
    for _ in range(30):
        step(driver, optimizer)
    plan = lr.linear(0.5, 0.0, 50)
    driver.replace(plan)
    used = []
    for _ in range(5):
        used += lrs(optimizer)
        step(driver, optimizer)
    assert used == [plan(n) for n in range(30, 35)]
    assert getattr(driver, COUNT[kind]) == 35
    assert tells(repr(driver.state_dict()), repr(plan))
    assert repr(plan) in repr(copy.deepcopy((optimizer, driver)))


@KINDS
@pytest.mark.parametrize("schedule", [0.1, [LONG], [], "constant(1)", lr.wsd(0.1), None])
def test_a_wrong_replacement_changes_nothing(kind, schedule):
    optimizer = optimizer_of(2)
    driver = drive(kind, optimizer, LONG, start=3)
    with pytest.raises((ValueError, TypeError), match=r"schedule"):
        driver.replace(schedule)
    step(driver, optimizer)
    assert lrs(optimizer) == [LONG(4)] * 2


@KINDS
def test_replace_after_detach_is_refused(kind):
    driver = drive(kind, optimizer_of(), LONG)
    driver.detach()
    with pytest.raises(AlreadyDrivenError, match=facts("detached")):
        driver.replace(SHORT)


def test_an_attachment_replaces_all_or_nothing():
    optimizer = optimizer_of(momentum=0.9)
    attachment = lr.torch.attach(optimizer, LONG, momentum=lr.constant(0.8))
    with pytest.raises(ValueError, match=facts("momentum", "below 1")):
        attachment.replace(SHORT, momentum=lr.constant(1.0))
    with pytest.raises(ValueError, match=facts("lr, momentum", "weight_decay")):
        attachment.replace(weight_decay=SHORT)
    attachment.load_state_dict({"updates": 10})
    assert (lrs(optimizer), optimizer.param_groups[0]["momentum"]) == ([LONG(10)], 0.8)
    attachment.replace(momentum=lr.constant(0.7))
    assert (lrs(optimizer), optimizer.param_groups[0]["momentum"]) == ([LONG(10)], 0.7)


def test_replace_keeps_the_ratios():
    optimizer = optimizer_of(2)
    optimizer.param_groups[1]["lr"] = 0.05
    scheduler = lr.torch.Scheduler(optimizer, lr.constant(1.0), relative=True)
    scheduler.replace(lr.constant(0.5))
    assert lrs(optimizer) == [0.5, 0.25]


@KINDS
def test_a_driver_says_schedule_count_and_value(kind):
    schedule = lr.linear(1.0, 0.0, 4)
    driver = drive(kind, optimizer_of(2), schedule, start=3)
    assert tells(repr(driver), repr(schedule), 3, 0.25)
    pair = drive(kind, optimizer_of(2), [schedule, lr.constant(0.7)], start=3)
    assert tells(repr(pair), repr(schedule), 3, 0.25, 0.7, "constant")


@KINDS
@pytest.mark.parametrize("kept", [True, False])
def test_optimizer_and_weights_are_freed_at_once(kind, kept):
    gc.collect()
    gc.disable()
    try:
        optimizer = optimizer_of()
        weights = weakref.ref(optimizer.param_groups[0]["params"][0])
        reference = weakref.ref(optimizer)
        driver = drive(kind, optimizer, LONG)
        step(driver, optimizer)
        step(driver, optimizer)
        if not kept:
            del driver
        del optimizer
        if kept:
            del driver
        assert reference() is None
        assert weights() is None
    finally:
        gc.enable()


def test_an_attachment_outlives_its_optimizer():
    optimizer = optimizer_of()
    attachment = lr.torch.attach(optimizer, LONG)
    optimizer.step()
    del optimizer
    assert attachment.updates == 1
    attachment.detach()


def interrupted_at(number, work):
    """Run `work`, with an interrupt at this line of those that run in learnrate; whether it came."""
    lines = iter(range(10**6))

    def trace(frame, event, arg):
        if "learnrate" not in frame.f_code.co_filename:
            return None
        if event == "line" and next(lines) == number:
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def test_an_interrupt_at_any_line_leaves_no_attachment_paused():
    optimizer = optimizer_of()
    attachment = lr.torch.attach(optimizer, LONG)

    def pause():
        with attachment.paused(), attachment.paused():
            pass

    number = 0
    while interrupted_at(number, pause):
        optimizer.step()
        number += 1
        assert attachment.updates == number
    assert number > 5


def test_a_pause_inside_a_pause_ends_with_the_outer_one():
    optimizer = optimizer_of()
    attachment = lr.torch.attach(optimizer, LONG)
    with attachment.paused():
        with attachment.paused():
            optimizer.step()
        optimizer.step()
    assert attachment.updates == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.step()
    assert attachment.updates == 1
