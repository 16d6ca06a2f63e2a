"""Who drives a hyper-parameter is known: other writers are noticed, and so are values of the groups that get lost."""

import warnings
from functools import partial

import pytest
import torch

import learnrate as lr
from facts import facts, tells
from learnrate.errors import LostRatiosWarning, OverruledWarning

rates = torch.optim.lr_scheduler


def optimizer_of(*lrs, tensors=False, **more):
    groups = [{"params": [torch.nn.Parameter(torch.ones(1))], "lr": torch.tensor(x) if tensors else x} for x in lrs]
    return torch.optim.SGD(groups, lr=lrs[0], **more)


def lrs(optimizer):
    return [float(group["lr"]) for group in optimizer.param_groups]


def halved(optimizer, groups):
    """A writer that halves the LR of some groups once, at its third call."""
    calls = iter(range(100))

    def step():
        if next(calls) == 2:
            for group in optimizer.param_groups[groups]:
                half = float(group["lr"]) / 2
                if isinstance(group["lr"], torch.Tensor):
                    group["lr"].fill_(half)
                else:
                    group["lr"] = half

    return step


WRITERS = {
    "StepLR": lambda o: rates.StepLR(o, 1, 0.5).step,
    "LambdaLR": lambda o: rates.LambdaLR(o, lambda n: 0.5).step,
    "OneCycleLR": lambda o: rates.OneCycleLR(o, 0.3, 100, cycle_momentum=False).step,
    "ChainedScheduler": lambda o: rates.ChainedScheduler([rates.ExponentialLR(o, 0.5)]).step,
    "ReduceLROnPlateau": lambda o: partial(rates.ReduceLROnPlateau(o, factor=0.5, patience=0).step, 1.0),
    "by hand": lambda o: halved(o, slice(None)),
    "by hand, the last group": lambda o: halved(o, slice(-1, None)),
}


def train(optimizer, step, other, updates=8):
    """Train with another writer; the LRs that the updates used, and the messages of the warnings."""
    used = []
    optimizer.register_step_pre_hook(lambda o, args, kwargs: used.append(lrs(o)))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(updates):
            optimizer.step()
            step()
            other()
        optimizer.step()
        step()
    return used, [str(w.message) for w in caught if w.category is OverruledWarning]


# Groups with one value, with the same value, and with values of their own are written in three ways.
GROUPS = [(0.5,), (0.5, 0.5, 0.5), (0.5, 0.25, 0.125)]


@pytest.mark.parametrize("own", GROUPS)
@pytest.mark.parametrize("tensors", [False, True])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_scheduler_warns_once_of_another_writer(writer, tensors, own):
    optimizer = optimizer_of(*own, tensors=tensors)
    scheduler = lr.torch.Scheduler(optimizer, lr.constant(0.5), relative=True)
    _, messages = train(optimizer, scheduler.step, WRITERS[writer](optimizer))
    assert len(messages) == 1
    assert tells(messages[0], "lr", own[-1] if writer.endswith("last group") else own[0])
    assert lrs(optimizer) == list(own)


@pytest.mark.shows("torch", "two owners")
@pytest.mark.parametrize("own", GROUPS)
@pytest.mark.parametrize("tensors", [False, True])
@pytest.mark.parametrize("writer", WRITERS)
def test_an_attachment_warns_once_of_another_writer_and_sets_the_lr_back(writer, tensors, own):
    optimizer = optimizer_of(*own, tensors=tensors)
    attachment = lr.torch.attach(optimizer, lr.linear(0.5, 0.4, 100), relative=True)
    used, messages = train(optimizer, lambda: None, WRITERS[writer](optimizer))
    assert len(messages) == 1
    assert [row[-1] / own[-1] for row in used] == pytest.approx([2 * lr.linear(0.5, 0.4, 100)(n) for n in range(9)])
    assert attachment.updates == 9


def test_both_values_are_named():
    optimizer = optimizer_of(0.1)
    scheduler = lr.torch.Scheduler(optimizer, lr.constant(0.5))
    other = rates.StepLR(optimizer, 1, 0.1)
    optimizer.step()
    scheduler.step()
    other.step()
    optimizer.step()
    with pytest.warns(OverruledWarning, match=facts("lr", 0.5, 0.05, "replace")) as caught:
        scheduler.step()
    assert caught[0].filename == __file__
    assert lrs(optimizer) == [0.5]
    assert scheduler.last_epoch == 2


def test_every_driven_hyper_parameter_is_watched():
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    lr.torch.attach(optimizer, lr.constant(0.1), momentum=lr.constant(0.8), weight_decay=lr.constant(0.3))
    group = optimizer.param_groups[0]
    group["betas"] = (0.7, 0.999)
    with pytest.warns(OverruledWarning, match=facts("momentum", 0.8, 0.7)):
        optimizer.step()
    group["weight_decay"] = 0.0
    with pytest.warns(OverruledWarning, match=facts("weight_decay", 0.3, 0)):
        optimizer.step()
    assert (group["betas"], group["weight_decay"]) == ((0.8, 0.999), 0.3)


def in_inference_mode(tensor, value):
    with torch.inference_mode():
        tensor.fill_(value)


UNRECORDED = {
    ".data": lambda tensor, value: tensor.data.fill_(value),
    "detach": lambda tensor, value: tensor.detach().copy_(torch.tensor(value)),
    "NumPy": lambda tensor, value: tensor.numpy().fill(value),
    "inference mode": in_inference_mode,
}


@pytest.mark.parametrize("kind", ["attach", "Scheduler"])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("write", UNRECORDED)
def test_a_tensor_lr_that_is_changed_in_ways_that_torch_does_not_record_is_noticed(write, groups, kind):
    optimizer = optimizer_of(*[0.5] * groups, tensors=True)
    driver = getattr(lr.torch, kind)(optimizer, lr.constant(0.5))
    UNRECORDED[write](optimizer.param_groups[-1]["lr"], 0.25)
    step = driver.step if kind == "Scheduler" else optimizer.step
    with pytest.warns(OverruledWarning, match=facts("lr", 0.5, 0.25)):
        step()
    assert lrs(optimizer) == [0.5] * groups


@pytest.mark.parametrize("kind", ["attach", "Scheduler"])
def test_another_writer_is_noticed_after_a_checkpoint_with_the_same_objects_was_loaded(kind):
    optimizer = optimizer_of(0.5, 0.25)
    driver = getattr(lr.torch, kind)(optimizer, lr.linear(0.5, 0.4, 100), relative=True)

    def update():
        optimizer.step()
        if kind == "Scheduler":
            driver.step()

    update()
    optimizer.load_state_dict(optimizer.state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("error", OverruledWarning)
        update()
        update()
    optimizer.param_groups[-1]["lr"] = 3.0
    with pytest.warns(OverruledWarning, match="3"):
        update()


@pytest.mark.parametrize("kind", ["attach", "Scheduler"])
@pytest.mark.parametrize("lrs_of_groups", [(0.1,), (0.1, 0.1), (0.2, 0.1)])
def test_a_loaded_checkpoint_is_no_other_writer(kind, lrs_of_groups):
    optimizer = optimizer_of(*lrs_of_groups)
    saved = optimizer.state_dict()
    driver = getattr(lr.torch, kind)(optimizer, lr.constant(0.5), relative=True)
    for _ in range(3):
        optimizer.step()
        if kind == "Scheduler":
            driver.step()
        optimizer.load_state_dict(saved)
    optimizer.step()
    largest = max(lrs_of_groups)
    assert lrs(optimizer) == pytest.approx([rate * (0.5 / largest if kind == "attach" else 1) for rate in lrs_of_groups])


@pytest.mark.parametrize("kind", ["attach", "Scheduler"])
def test_a_number_that_becomes_a_tensor_stays_one(kind):
    optimizer = optimizer_of(0.1)
    driver = getattr(lr.torch, kind)(optimizer, lr.linear(0.5, 0.0, 10))
    rate = optimizer.param_groups[0]["lr"] = torch.tensor(0.5, dtype=torch.float64)
    for _ in range(3):
        optimizer.step()
        if kind == "Scheduler":
            driver.step()
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate.item() == lr.linear(0.5, 0.0, 10)(3)


def test_a_step_that_only_creates_the_state_is_no_update():
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict

    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    attachment = lr.torch.attach(optimizer, lr.linear(1.0, 0.0, 10))
    before = model.weight.clone()
    get_optimizer_state_dict(model, optimizer)  # makes a step at an LR of 0
    assert torch.equal(model.weight, before)
    assert attachment.updates == 0
    optimizer.step()
    assert attachment.updates == 1
    assert lrs(optimizer) == [0.9]


def test_an_lr_that_is_set_to_0_again_and_again_is_noticed():
    optimizer = optimizer_of(0.1)
    attachment = lr.torch.attach(optimizer, lr.constant(0.5))
    other = rates.LambdaLR(optimizer, lambda n: 0.0)
    optimizer.step()
    other.step()
    with pytest.warns(OverruledWarning, match=facts("lr", 0.5, 0)):
        optimizer.step()
    assert attachment.updates == 1


@pytest.mark.parametrize("kind", ["attach", "Scheduler"])
def test_lrs_of_groups_that_one_schedule_replaces_are_named_once(kind):
    optimizer = optimizer_of(2e-2, 1e-5)
    with pytest.warns(LostRatiosWarning, match=facts("lr", 0.02, "1e-05", "relative=True")) as caught:
        driver = getattr(lr.torch, kind)(optimizer, lr.constant(2e-2))
    assert len(caught) == 1
    saved = optimizer_of(3e-2, 1e-5).state_dict()
    optimizer.load_state_dict(saved)
    optimizer.step()
    if kind == "Scheduler":
        driver.step()
    assert lrs(optimizer) == [2e-2, 2e-2]


def test_values_that_are_not_lost_are_not_named():
    lr.torch.Scheduler(optimizer_of(2e-2, 1e-5), lr.constant(2e-2), relative=True)
    lr.torch.Scheduler(optimizer_of(2e-2, 1e-5), [lr.constant(2e-2), lr.constant(1e-5)])
    lr.torch.Scheduler(optimizer_of(2e-2, 2e-2), lr.constant(0.1))


def test_groups_without_weight_decay_are_not_given_it_in_silence():
    parameters = [torch.nn.Parameter(torch.ones(1)) for _ in range(2)]
    groups = [{"params": parameters[:1], "weight_decay": 0.05}, {"params": parameters[1:], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=0.1)
    with pytest.warns(LostRatiosWarning, match=facts("weight_decay", 0.05, 0, "one schedule for each group")):
        lr.torch.attach(optimizer, weight_decay=lr.constant(0.1)).detach()
    optimizer = torch.optim.AdamW(groups, lr=0.1)
    lr.torch.attach(optimizer, weight_decay=[lr.constant(0.1), lr.constant(0.0)])
    optimizer.step()
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]


def test_lr_scale_is_followed_where_ratios_are_kept():
    optimizer = optimizer_of(0.3, 0.3, 0.1)
    for group, scale in zip(optimizer.param_groups, (0.25, 0.5, 1.0), strict=True):
        group["lr_scale"] = scale
    with pytest.warns(LostRatiosWarning, match=facts("lr_scale", 0.25, "relative=True")):
        lr.torch.Scheduler(optimizer_with_scale(0.25), lr.constant(1.0))
    scheduler = lr.torch.Scheduler(optimizer, lr.linear(1.0, 0.0, 10), relative=True)
    assert lrs(optimizer) == pytest.approx([0.25, 0.5, 1 / 3])
    scheduler.step()
    assert lrs(optimizer) == pytest.approx([0.225, 0.45, 0.3])


def optimizer_with_scale(scale):
    optimizer = optimizer_of(0.1)
    optimizer.param_groups[0]["lr_scale"] = scale
    return optimizer


@pytest.mark.parametrize("kind", ["attach", "Scheduler"])
@pytest.mark.parametrize("relative", [False, True])
def test_a_group_that_is_added_changes_no_other_group(kind, relative):
    def added(optimizer):
        optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))], "lr": 0.8})
        return optimizer

    schedule = lr.linear(1.0, 0.0, 100)
    optimizer = optimizer_of(0.2, 0.1 if relative else 0.2)
    driver = getattr(lr.torch, kind)(optimizer, schedule, relative=relative)
    optimizer.step()
    if kind == "Scheduler":
        driver.step()
    added(optimizer)
    with warnings.catch_warnings():
        warnings.simplefilter("error" if relative else "ignore", LostRatiosWarning)
        optimizer.step()
        if kind == "Scheduler":
            driver.step()
    assert lrs(optimizer) == pytest.approx([0.98 * ratio for ratio in ((1, 0.5, 4) if relative else (1, 1, 1))])
    if relative:  # a run that goes on from a checkpoint has all three groups from the start
        other = added(optimizer_of(0.2, 0.1))
        resumed = getattr(lr.torch, kind)(other, schedule, relative=True)
        resumed.load_state_dict(driver.state_dict())
        other.step()
        assert lrs(other) == pytest.approx([(0.97 if kind == "attach" else 0.98) * ratio for ratio in (1, 0.5, 4)])


def test_an_added_group_with_its_own_lr_is_named():
    optimizer = optimizer_of(0.1)
    scheduler = lr.torch.Scheduler(optimizer, lr.constant(0.5))
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))]})  # with the optimizer's default
    scheduler.step()
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))], "lr": 9.0})
    with pytest.warns(LostRatiosWarning, match=facts("lr", 9, 0.5)):
        scheduler.step()
    assert lrs(optimizer) == [0.5, 0.5, 0.5]


def test_an_added_group_takes_the_initial_lr_of_the_tensor_that_it_shares():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=torch.tensor(0.1))
    scheduler = lr.torch.Scheduler(optimizer, lr.linear(1.0, 0.0, 10), relative=True)
    for _ in range(5):
        scheduler.step()
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))]})
    scheduler.step()
    assert lrs(optimizer) == pytest.approx([0.4, 0.4])
