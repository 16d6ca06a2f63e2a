"""Optimizers inside optimizers: the one that really steps is followed, and what cannot be followed is refused."""

import pytest
import torch

import learnrate as lr
from facts import facts
from learnrate.errors import AlreadyDrivenError
from wrapped import SAM, Lookahead, Prepared

SCHEDULE = lr.linear(1.0, 0.0, 100)


def sgd(momentum=0.0):
    return torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1, momentum=momentum)


def sam():
    return SAM([torch.nn.Parameter(torch.ones(1))], torch.optim.SGD, lr=0.1)


def backward(optimizer):
    optimizer.zero_grad()
    [parameter] = optimizer.param_groups[0]["params"]
    loss = (parameter**2).sum()
    loss.backward()
    return loss


def one_call(optimizer):
    optimizer.step(lambda: backward(optimizer))


def two_calls(optimizer):
    optimizer.first_step(zero_grad=True)
    backward(optimizer)
    optimizer.second_step()


WRAPPED = [
    pytest.param(lambda: Prepared(sgd()), one_call, id="Accelerate"),
    pytest.param(lambda: Prepared(Prepared(sgd())), one_call, id="twice"),
    pytest.param(lambda: Lookahead(sgd()), one_call, id="Lookahead"),
    pytest.param(sam, one_call, id="SAM, one call"),
    pytest.param(sam, two_calls, id="SAM, two calls"),
    pytest.param(lambda: Prepared(sam()), one_call, id="SAM prepared by Accelerate"),
]


@pytest.mark.parametrize(("build", "update"), WRAPPED)
def test_attach_counts_the_updates_of_the_optimizer_inside(build, update):
    optimizer = build()
    attachment = lr.torch.attach(optimizer, SCHEDULE)
    for n in range(5):
        assert optimizer.param_groups[0]["lr"] == SCHEDULE(n)
        backward(optimizer)
        update(optimizer)
    assert attachment.updates == 5


def innermost(optimizer):
    while True:
        inner = [value for value in vars(optimizer).values() if isinstance(value, torch.optim.Optimizer)]
        if not inner:
            return optimizer
        [optimizer] = inner


@pytest.mark.parametrize("first", ["attach", "Scheduler"])
@pytest.mark.parametrize("second", ["attach", "Scheduler"])
@pytest.mark.parametrize("outer_first", [True, False])
@pytest.mark.parametrize(("build", "update"), WRAPPED)
def test_a_second_driver_is_noticed_inside_and_outside(build, update, first, second, outer_first):
    optimizer = build()
    pair = [optimizer, innermost(optimizer)]
    driven, undriven = pair if outer_first else reversed(pair)
    driver = getattr(lr.torch, first)(driven, SCHEDULE)
    with pytest.raises(AlreadyDrivenError, match=facts("lr", "detach()")):
        getattr(lr.torch, second)(undriven, SCHEDULE)
    driver.detach()
    getattr(lr.torch, second)(undriven, SCHEDULE)


@pytest.mark.parametrize("wrapper", [True, False])
def test_a_torch_scheduler_on_either_is_noticed(wrapper):
    inner = sgd()
    optimizer = Prepared(inner)
    torch.optim.lr_scheduler.LambdaLR(optimizer if wrapper else inner, lambda n: 1.0)
    with pytest.raises(AlreadyDrivenError, match=facts("lr", "torch LRScheduler")):
        lr.torch.attach(optimizer, SCHEDULE)


def test_a_scheduler_keeps_the_optimizer_that_it_was_given():
    optimizer = Prepared(sgd())
    scheduler = lr.torch.Scheduler(optimizer, SCHEDULE)
    assert scheduler.optimizer is optimizer  # Lightning looks for it among those of the module
    scheduler.step()
    assert optimizer.optimizer.param_groups[0]["lr"] == SCHEDULE(1)


class Copied(torch.optim.Optimizer):
    """Has groups of its own, which its step ignores, as GaLore's stand-in for optimizers that step in the backward pass."""

    def __init__(self, *optimizers):
        self.optimizers = dict(enumerate(optimizers))
        parameters = [p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
        super().__init__(parameters, {"lr": 0.1})

    def step(self, closure=None):
        for optimizer in self.optimizers.values():
            optimizer.step(closure)


class Joined(Copied):
    """Two optimizers as one, whose groups are theirs."""

    def __init__(self, *optimizers):
        super().__init__(*optimizers)
        self.param_groups = [group for optimizer in optimizers for group in optimizer.param_groups]


class TwoCalls(torch.optim.SGD):
    """Makes its update outside step()."""

    def first_step(self):
        pass

    def second_step(self):
        pass


class OtherCalls(torch.optim.SGD):
    """As adaptive SAM, whose calls have other names."""

    def ascent_step(self):
        pass

    def descent_step(self):
        pass


class Box:
    """As a trainer or a strategy, which an optimizer refers to."""

    def __init__(self, *optimizers):
        self.optimizers = list(optimizers)


class Boxed(torch.optim.Optimizer):
    """Steps an optimizer in another object, with the groups that this one has, or with copies that its step ignores."""

    def __init__(self, box, copies):
        self.box = box
        inner = box.optimizers[0]
        groups = [{"params": group["params"]} for group in inner.param_groups]
        super().__init__(groups, {"lr": 0.1})
        if not copies:
            self.param_groups = inner.param_groups

    def step(self, closure=None):
        return self.box.optimizers[0].step(closure)


class Called(torch.optim.Optimizer):
    """Steps an optimizer of which it has only the method."""

    def __init__(self, inner):
        self.call = inner.step
        super().__init__([{"params": group["params"]} for group in inner.param_groups], {"lr": 0.1})

    def step(self, closure=None):
        return self.call(closure)


class Bare(torch.optim.Optimizer):
    """Does not call the constructor of its base class."""

    def __init__(self, parameters):
        self.param_groups, self.state, self.defaults = [{"params": list(parameters), "lr": 0.1}], {}, {}

    def step(self, closure=None):
        pass


def parameters():
    return [torch.nn.Parameter(torch.ones(1))]


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Copied(sgd()), ("groups", "Copied", "SGD", "inner")),
        (lambda: Called(sgd()), ("groups", "Called", "SGD", "inner")),
        (lambda: Boxed(Box(sgd()), copies=True), ("groups", "Boxed", "SGD", "inner")),
        (lambda: OtherCalls(parameters(), lr=0.1), ("step()", "ascent_step", "learnrate.torch.Scheduler")),
        (lambda: TwoCalls(parameters(), lr=0.1), ("step()", "TwoCalls", "learnrate.torch.Scheduler")),
        (lambda: Bare(parameters()), ("hooks", "Bare", "learnrate.torch.Scheduler")),
        (lambda: Prepared(Bare(parameters())), ("hooks", "Bare", "learnrate.torch.Scheduler")),
    ],
)
def test_an_optimizer_that_cannot_be_followed_is_refused(build, words):
    optimizer = build()
    before = [dict(group) for group in optimizer.param_groups]
    with pytest.raises(ValueError, match=facts(*words)):
        lr.torch.attach(optimizer, SCHEDULE)
    assert [dict(group) for group in optimizer.param_groups] == before
    if not isinstance(optimizer, (Copied, Called, Boxed)):
        lr.torch.Scheduler(optimizer, SCHEDULE).step()
        assert optimizer.param_groups[0]["lr"] == SCHEDULE(1)


def test_an_lr_that_nothing_reads_is_refused_everywhere():
    model = torch.nn.Linear(1, 1)
    optimizer = Copied(torch.optim.SGD(model.parameters(), lr=0.1))
    batches = [(torch.ones(2, 1), torch.ones(2, 1))] * 4
    loss = torch.nn.MSELoss()
    for use in (
        lambda: lr.torch.Scheduler(optimizer, SCHEDULE),
        lambda: lr.torch.range_test(model, optimizer, batches, loss, updates=20),
        lambda: lr.torch.tune(model, optimizer, batches, loss, updates=100),
    ):
        with pytest.raises(ValueError, match=facts("groups", "Copied", "SGD")):
            use()


def test_two_optimizers_as_one_are_followed_from_outside():
    first, second = sgd(), sgd()
    optimizer = Joined(first, second)
    attachment = lr.torch.attach(optimizer, SCHEDULE)
    optimizer.step()
    assert attachment.updates == 1
    assert first.param_groups[0]["lr"] == second.param_groups[0]["lr"] == SCHEDULE(1)
    with pytest.raises(AlreadyDrivenError):
        lr.torch.Scheduler(second, SCHEDULE)


def test_an_optimizer_in_another_object_is_followed_and_others_there_are_left_alone():
    inner, other = sgd(), sgd()
    optimizer = Boxed(Box(inner, other), copies=False)
    attachment = lr.torch.attach(optimizer, SCHEDULE)
    optimizer.step()
    assert attachment.updates == 1
    assert inner.param_groups[0]["lr"] == SCHEDULE(1)
    with pytest.raises(AlreadyDrivenError):
        lr.torch.attach(inner, SCHEDULE)
    lr.torch.attach(other, SCHEDULE)


class Saving(torch.optim.Optimizer):
    """A wrapper with a dictionary that looks like its own attributes."""

    def __init__(self, base):
        self.base, self.param_groups, self.defaults, self.state = base, base.param_groups, base.defaults, base.state
        self.saved = {"param_groups": base.param_groups}

    def step(self, closure=None):
        return self.base.step(closure)


class Passing(torch.optim.Optimizer):
    """A wrapper that passes on the attributes of an optimizer in another object."""

    def __init__(self, base):
        self.trainer = Box()
        self.trainer.optimizer = base
        vars(self)

    def __getattr__(self, name):
        if name in ("param_groups", "defaults", "state"):
            return getattr(self.trainer.optimizer, name)
        raise AttributeError(name)

    def step(self, closure=None):
        return self.trainer.optimizer.step(closure)


@pytest.mark.parametrize("with_dictionary", [False, True])
@pytest.mark.parametrize("wrapper", [Saving, Passing])
def test_the_optimizer_inside_is_seen_however_attributes_are_stored(wrapper, with_dictionary):
    base = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    outer = wrapper(base)
    if with_dictionary:
        vars(outer)
    attachment = lr.torch.attach(outer, lr.linear(1.0, 0.0, 10))
    outer.step()
    assert (attachment.updates, base.param_groups[0]["lr"]) == (1, 0.9)
    with pytest.raises(AlreadyDrivenError):
        lr.torch.Scheduler(base, lr.constant(0.1))
    attachment.detach()
    driver = lr.torch.Scheduler(base, lr.constant(0.1))
    with pytest.raises(AlreadyDrivenError):
        lr.torch.Scheduler(outer, lr.constant(0.2))
    driver.detach()


def test_a_step_that_calls_its_base_class_is_one_update():
    class Decayed(torch.optim.SGD):
        def step(self, closure=None):
            return super().step(closure)

    sgd()  # torch hooks the step of a class when its first object is built
    optimizer = Decayed(parameters(), lr=0.1)
    attachment = lr.torch.attach(optimizer, SCHEDULE)
    for _ in range(3):
        optimizer.step()
    assert attachment.updates == 3


def batches_and_model():
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 1)
    batches = [(x := torch.randn(8, 3), x.sum(1, keepdim=True)) for _ in range(10)]
    return model, batches


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(lambda p: Prepared(torch.optim.Adam(p, lr=0.01)), id="Accelerate"),
        pytest.param(lambda p: Lookahead(torch.optim.SGD(p, lr=0.01, momentum=0.9)), id="Lookahead"),
        pytest.param(lambda p: SAM(p, torch.optim.SGD, lr=0.01, momentum=0.9), id="SAM"),
    ],
)
def test_a_range_test_pauses_and_gives_back_what_is_inside(build):
    model, batches = batches_and_model()
    optimizer = build(model.parameters())
    inner = innermost(optimizer)
    attachment = lr.torch.attach(inner, lr.constant(0.02))
    loss = torch.nn.MSELoss()

    def update():
        def closure():
            optimizer.zero_grad()
            value = loss(model(batches[0][0]), batches[0][1])
            value.backward()
            return value

        closure()
        optimizer.step(closure)

    update()
    states = [[t.clone() for s in o.state.values() if isinstance(s, dict) for t in s.values()] for o in (optimizer, inner)]
    slow = [t.clone() for t in optimizer.state["slow"]] if isinstance(optimizer, Lookahead) else []
    curve = lr.torch.range_test(model, optimizer, batches, loss, updates=30)
    assert len(curve.lrs) >= 20
    after = [[t for s in o.state.values() if isinstance(s, dict) for t in s.values()] for o in (optimizer, inner)]
    torch.testing.assert_close(after, states, rtol=0, atol=0)
    torch.testing.assert_close(optimizer.state["slow"] if slow else [], slow, rtol=0, atol=0)
    assert attachment.updates == 1
    update()
    assert attachment.updates == 2


def test_a_range_test_of_sam_makes_its_two_passes():
    def curve(build):
        model, batches = batches_and_model()
        return lr.torch.range_test(model, build(model.parameters()), batches, torch.nn.MSELoss(), updates=30)

    plain = curve(lambda p: torch.optim.SGD(p, lr=0.01))
    none = curve(lambda p: SAM(p, torch.optim.SGD, lr=0.01, rho=0.0))
    some = curve(lambda p: SAM(p, torch.optim.SGD, lr=0.01, rho=0.5))
    assert list(none.losses) == pytest.approx(list(plain.losses))
    assert list(some.losses) != pytest.approx(list(plain.losses))
