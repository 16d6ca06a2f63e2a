"""attach: schedules follow the optimizer's real updates."""

import copy
import pickle

import pytest
import torch

import learnrate as lr
from facts import facts
from learnrate.errors import AlreadyDrivenError, PastEndWarning

SCHEDULE = lr.triangular(0.01, 0.1, 5)


def trained(optimizer, parameter, updates):
    """The LRs that real updates used, computed from how far the parameter moved."""
    used = []
    for _ in range(updates):
        before = parameter.detach().clone()
        parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        used.append((before - parameter).item())
    return used


def one_parameter(**more):
    parameter = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    return parameter, torch.optim.SGD([parameter], lr=9.0, **more)


@pytest.mark.shows("torch", "schedule")
def test_every_update_uses_its_own_lr():
    parameter, optimizer = one_parameter()
    attachment = lr.torch.attach(optimizer, SCHEDULE)
    assert trained(optimizer, parameter, 12) == pytest.approx([SCHEDULE(n) for n in range(12)])
    assert attachment.updates == 12
    assert optimizer.param_groups[0]["lr"] == pytest.approx(SCHEDULE(12))
    assert "step" not in vars(optimizer)


@pytest.mark.shows("torch", "resume")
def test_an_attachment_resumes_in_any_order_of_loading():
    parameter, optimizer = one_parameter()
    attachment = lr.torch.attach(optimizer, SCHEDULE)
    trained(optimizer, parameter, 7)
    saved, count = optimizer.state_dict(), attachment.state_dict()
    assert count == {"updates": 7, "schedules": {"lr": repr(SCHEDULE)}}
    for optimizer_last in (True, False):
        parameter, other = one_parameter()
        if not optimizer_last:
            other.load_state_dict(saved)
        resumed = lr.torch.attach(other, SCHEDULE)
        resumed.load_state_dict(count)
        if optimizer_last:
            other.load_state_dict(saved)
        assert trained(other, parameter, 6) == pytest.approx([SCHEDULE(n) for n in range(7, 13)])
    parameter, other = one_parameter()
    lr.torch.attach(other, SCHEDULE, start=7)
    assert trained(other, parameter, 6) == pytest.approx([SCHEDULE(n) for n in range(7, 13)])


@pytest.mark.shows("torch", "accumulation")
def test_accumulated_micro_batches_are_one_update():
    parameter, optimizer = one_parameter()
    attachment = lr.torch.attach(optimizer, SCHEDULE)
    for micro in range(12):
        (parameter * 1.0).sum().backward()
        if micro % 4 == 3:
            optimizer.step()
            optimizer.zero_grad()
    assert attachment.updates == 3


@pytest.mark.shows("torch", "skipped updates")
@pytest.mark.parametrize("fused", [False, True])
def test_updates_that_a_grad_scaler_skips_do_not_count(fused):
    parameter = torch.nn.Parameter(torch.ones(4))
    optimizer = torch.optim.AdamW([parameter], lr=9.0, fused=fused)
    attachment = lr.torch.attach(optimizer, SCHEDULE)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    for update in range(6):
        optimizer.zero_grad()
        scaler.scale((parameter * (float("inf") if update in (0, 3) else 1.0)).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
    assert attachment.updates == 4
    assert optimizer.param_groups[0]["lr"] == pytest.approx(SCHEDULE(4))


def test_an_update_that_fails_does_not_count():
    _, optimizer = one_parameter()
    attachment = lr.torch.attach(optimizer, SCHEDULE)

    def closure():
        raise RuntimeError("no loss")

    with pytest.raises(RuntimeError, match="no loss"):
        optimizer.step(closure)
    assert attachment.updates == 0


def test_momentum_follows_its_own_schedule():
    _, optimizer = one_parameter(momentum=0.5)
    lr.torch.attach(optimizer, lr=SCHEDULE, momentum=lr.linear(0.95, 0.85, 10))
    optimizer.step()
    assert optimizer.param_groups[0]["momentum"] == pytest.approx(0.94)
    adam = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    lr.torch.attach(adam, momentum=lr.constant(0.8))
    adam.step()
    assert adam.param_groups[0]["betas"] == (0.8, 0.999)
    assert adam.param_groups[0]["lr"] == 0.1


def test_after_detach_the_optimizer_keeps_its_values():
    parameter, optimizer = one_parameter()
    attachment = lr.torch.attach(optimizer, SCHEDULE)
    trained(optimizer, parameter, 3)
    attachment.detach()
    optimizer.param_groups[0]["lr"] = 0.5
    assert trained(optimizer, parameter, 2) == pytest.approx([0.5, 0.5])
    assert attachment.updates == 3
    lr.torch.attach(optimizer, SCHEDULE)
    with pytest.raises(AlreadyDrivenError, match=facts("Attachment", "detached")):
        attachment.load_state_dict({"updates": 1})


def test_a_copied_attachment_follows_the_copied_optimizer():
    parameter, optimizer = one_parameter()
    attachment = lr.torch.attach(optimizer, SCHEDULE)
    trained(optimizer, parameter, 3)
    for copied in (copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))):
        twin, attached = copied((optimizer, attachment))
        assert trained(twin, twin.param_groups[0]["params"][0], 2) == pytest.approx([SCHEDULE(3), SCHEDULE(4)])
        assert attached.updates == 5
        with pytest.raises(AlreadyDrivenError):
            lr.torch.attach(twin, SCHEDULE)
    assert attachment.updates == 3
    with pytest.raises(AlreadyDrivenError):
        copy.copy(attachment)


def test_a_refused_attachment_claims_nothing():
    _, optimizer = one_parameter(momentum=0.9)
    momentum = lr.torch.attach(optimizer, momentum=SCHEDULE)
    with pytest.raises(AlreadyDrivenError) as refused:
        lr.torch.attach(optimizer, SCHEDULE, SCHEDULE)
    momentum.detach()
    lr.torch.attach(optimizer, SCHEDULE, SCHEDULE)
    del refused  # its traceback holds the refused attachment until here


def test_warns_once_past_the_end():
    parameter, optimizer = one_parameter()
    lr.torch.attach(optimizer, lr.linear(1.0, 0.5, 3))
    assert trained(optimizer, parameter, 3) == pytest.approx([1.0, 1 - 1 / 6, 1 - 2 / 6])
    with pytest.warns(PastEndWarning) as caught:
        assert trained(optimizer, parameter, 3) == pytest.approx([0.5] * 3)
    assert len(caught) == 1


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (lambda optimizer: lr.torch.attach(optimizer), ValueError, ("lr", "momentum", "none")),
        (lambda optimizer: lr.torch.attach("sgd", SCHEDULE), TypeError, ("optimizer", "torch.optim.Optimizer", "'sgd'")),
        (lambda optimizer: lr.torch.attach(optimizer, 0.1), TypeError, ("schedule", "lr", 0.1)),
        (
            lambda optimizer: lr.torch.attach(optimizer, SCHEDULE).load_state_dict({}),
            ValueError,
            ("state_dict", "'updates'", "{}"),
        ),
        (
            lambda optimizer: lr.torch.attach(torch.optim.Adagrad([torch.zeros(1)]), momentum=SCHEDULE),
            ValueError,
            ("momentum", "betas", "Adagrad"),
        ),
    ],
)
def test_wrong_arguments_are_refused(build, error, words):
    _, optimizer = one_parameter()
    with pytest.raises(error, match=facts(*words)):
        build(optimizer)


@pytest.mark.shows("torch", "two owners")
def test_two_drivers_are_refused():
    _, optimizer = one_parameter(momentum=0.9)
    attachment = lr.torch.attach(optimizer, SCHEDULE)
    with pytest.raises(AlreadyDrivenError, match=facts("lr", "learnrate.torch.Attachment", "detach()")):
        lr.torch.attach(optimizer, SCHEDULE)
    assert lr.torch.attach(optimizer, momentum=SCHEDULE) is not attachment


def test_a_momentum_of_1_is_refused():
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    with pytest.raises(ValueError, match=facts("momentum", "below 1", 1.0)):
        lr.torch.attach(optimizer, momentum=lr.constant(1.0))
    lr.torch.attach(optimizer, momentum=lr.constant(0.5))  # nothing drives it yet


def test_a_beta_that_is_a_tensor_is_filled():
    betas = (torch.tensor(0.9), torch.tensor(0.99))
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=torch.tensor(0.1), betas=betas)
    lr.torch.attach(optimizer, momentum=lr.constant(0.5))
    assert optimizer.param_groups[0]["betas"][0] is betas[0]
    assert betas[0].item() == 0.5


@pytest.mark.parametrize("kind", ["attach", "Scheduler"])
def test_the_warning_past_the_end_names_the_users_line(kind):
    _, optimizer = one_parameter()
    driver = getattr(lr.torch, kind)(optimizer, lr.linear(1.0, 0.0, 3))

    def train():
        for _ in range(6):
            optimizer.step()
            if kind == "Scheduler":
                driver.step()

    with pytest.warns(PastEndWarning) as caught:
        train()
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("lrs", [(1.0,), (1.0, 1.0), (1.0, 0.5)])
def test_a_step_may_add_groups(lrs):
    def group(rate):
        return {"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate}

    optimizer = torch.optim.SGD([group(rate) for rate in lrs])
    lr.torch.attach(optimizer, lr.linear(1.0, 0.0, 10), relative=True)

    def closure():
        optimizer.add_param_group(group(0.1))
        return torch.tensor(0.0)

    optimizer.step(closure)
    optimizer.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.8 * rate for rate in (*lrs, 0.1)])
