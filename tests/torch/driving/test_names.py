"""Any hyper-parameter of the groups is driven by its name."""

import pytest
import torch

import learnrate as lr
from facts import facts
from learnrate.errors import AlreadyDrivenError

FALLING = lr.linear(0.9, 0.5, 4)


def parameter():
    return torch.nn.Parameter(torch.ones(1))


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (torch.optim.AdamW, "weight_decay"),
        (torch.optim.AdamW, "eps"),
        (torch.optim.RMSprop, "alpha"),
        (torch.optim.Adadelta, "rho"),
        (torch.optim.SGD, "dampening"),
    ],
)
def test_a_hyper_parameter_follows_its_schedule_by_name(build, name):
    optimizer = build([parameter()], lr=0.1)
    attachment = lr.torch.attach(optimizer, lr.constant(0.2), **{name: FALLING})
    used = []
    optimizer.register_step_pre_hook(lambda o, args, kwargs: used.append(o.param_groups[0][name]))
    for _ in range(4):
        optimizer.step()
    assert used == pytest.approx([0.9, 0.8, 0.7, 0.6])
    assert optimizer.param_groups[0]["lr"] == 0.2
    attachment.replace(**{name: lr.constant(0.3)})
    assert optimizer.param_groups[0][name] == 0.3
    with pytest.raises(AlreadyDrivenError, match=facts(name)):
        lr.torch.attach(optimizer, **{name: FALLING})


def test_weight_decay_really_decays():
    weight = parameter()
    optimizer = torch.optim.SGD([weight], lr=1.0)  # its own weight_decay is the integer 0
    lr.torch.attach(optimizer, weight_decay=lr.linear(0.5, 0.0, 2))
    for expected in (0.5, 0.375):
        weight.grad = torch.zeros(1)
        optimizer.step()
        assert weight.item() == expected


class Mixed(torch.optim.Optimizer):
    """Groups of different kinds, as Muon with AdamW for the rest."""

    def __init__(self, groups):
        super().__init__(groups, {"lr": 0.1})

    def step(self, closure=None):
        pass


@pytest.mark.parametrize("schedules", [FALLING, [FALLING, FALLING]])
def test_momentum_is_the_first_beta_group_by_group(schedules):
    groups = [{"params": [parameter()], "momentum": 0.95}, {"params": [parameter()], "betas": (0.95, 0.99)}]
    optimizer = Mixed(groups)
    lr.torch.attach(optimizer, momentum=schedules)
    optimizer.step()
    sgd, adam = optimizer.param_groups
    assert (sgd["momentum"], *adam["betas"]) == pytest.approx((0.8, 0.8, 0.99))
    assert "betas" not in sgd
    assert "momentum" not in adam


def test_groups_that_share_tensors_in_betas_get_their_own():
    betas = (torch.tensor(0.9), torch.tensor(0.99))
    groups = [{"params": [parameter()]}, {"params": [parameter()]}]
    optimizer = torch.optim.Adam(groups, lr=torch.tensor(0.1), betas=betas)
    lr.torch.attach(optimizer, momentum=[lr.constant(0.5), lr.constant(0.25)])
    assert [group["betas"][0].item() for group in optimizer.param_groups] == [0.5, 0.25]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"weight_decy": FALLING}, ("weight_decy", "did you mean 'weight_decay'", "Adam")),
        ({"lr": FALLING, "momentun": FALLING}, ("momentun", "did you mean 'momentum'", "Adam")),
        ({"relatve": True}, ("relatve", "did you mean 'relative'")),
        ({"temperature": FALLING}, ("temperature", "Adam", "eps", "momentum", "weight_decay")),
        ({"betas": FALLING}, ("betas", "number", "momentum")),
        ({"amsgrad": FALLING}, ("amsgrad", "number", "bool")),
        ({"params": FALLING}, ("params", "number", "list")),
    ],
)
def test_what_is_no_hyper_parameter_is_refused(arguments, words):
    optimizer = torch.optim.Adam([parameter()], lr=0.1)
    before = dict(optimizer.param_groups[0])
    with pytest.raises(ValueError, match=facts(*words)):
        lr.torch.attach(optimizer, **arguments)
    assert optimizer.param_groups[0] == before
    lr.torch.attach(optimizer, FALLING)  # nothing drives it yet


def test_an_optimizer_without_an_lr_is_refused():
    optimizer = Mixed([{"params": [parameter()], "lr": None}])
    with pytest.raises(ValueError, match=facts("lr", "number", "NoneType")):
        lr.torch.Scheduler(optimizer, FALLING)
