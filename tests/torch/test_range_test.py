"""The range test of torch models: losses, batches and modes of every form, several seeds, and what is refused."""

import copy
import gc
import itertools
import math
import warnings
import weakref
from collections import defaultdict, namedtuple
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType

import pytest
import torch
from torch import nn
from torch.nn import functional

import learnrate as lr
from facts import facts, tells
from learnrate.errors import DataError, LossError, NoAnswerError, NotRewoundWarning, OverruledWarning


def test_bounds_are_plausible(toy):
    bounds = toy.range_test(seed=0).bounds()
    assert 1e-4 < bounds.base_lr < bounds.max_lr < 10


def test_a_model_and_an_optimizer_in_the_wrong_order_are_refused_in_one_line(toy):
    for changes in ({"model": toy.optimizer}, {"optimizer": toy.model}):
        with pytest.raises(TypeError, match=facts(*changes, "SGD" if "model" in changes else "Sequential")) as caught:
            lr.torch.range_test(
                **({"model": toy.model, "optimizer": toy.optimizer} | changes), batches=toy.batches, loss=toy.loss
            )
        assert "\n" not in str(caught.value)


def test_restore_must_be_true_or_false(toy):
    before = toy.model[0].weight.clone()
    with pytest.raises(TypeError, match=facts("restore", "True or False")):
        lr.torch.range_test(toy.model, toy.optimizer, toy.batches, toy.loss, restore=None)
    with (
        pytest.raises(TypeError, match=facts("restore", "True or False")),
        lr.torch.preserve(toy.model, toy.optimizer, restore=0),
    ):
        pass
    assert torch.equal(toy.model[0].weight, before)


def test_is_repeatable_from_a_seed(toy):
    assert toy.range_test(seed=3) == toy.range_test(seed=3) != toy.range_test(seed=4)


@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(),
        functional.cross_entropy,
        lambda model, batch: functional.cross_entropy(model(batch[0]), batch[1]),
        lambda model, batch: {"loss": functional.cross_entropy(model(batch[0]), batch[1]), "size": len(batch[0])},
    ],
    ids=["criterion", "functional", "function", "mapping"],
)
def test_losses_of_every_form(toy, loss):
    curve = toy.range_test(loss=loss, seed=0)
    assert curve.losses[0] == pytest.approx(toy.range_test(seed=0).losses[0])
    if curve.metrics:
        assert set(curve.metrics["size"]) == {16.0}


Pair = namedtuple("Pair", "inputs targets")


@dataclass
class Record:
    inputs: torch.Tensor
    targets: torch.Tensor


@pytest.mark.parametrize(
    ("form", "read"),
    [
        (lambda x, y: {"x": x, "deep": [y, "a word"]}, lambda b: (b["x"], b["deep"][0])),
        (Pair, lambda b: (b.inputs, b.targets)),
        (Record, lambda b: (b.inputs, b.targets)),
        (lambda x, y: [x, (y,)], lambda b: (b[0], b[1][0])),
        (lambda x, y: defaultdict(list, x=x, y=y), lambda b: (b["x"], b["y"])),
        (lambda x, y: MappingProxyType({"x": x, "y": y}), lambda b: (b["x"], b["y"])),
    ],
    ids=["dict", "named tuple", "dataclass", "nested", "defaultdict", "read-only mapping"],
)
def test_batches_of_every_structure(toy, form, read):
    batches = [form(x, y) for x, y in zip(toy.inputs.split(16), toy.targets.split(16), strict=True)]

    def loss(model, batch):
        inputs, targets = read(batch)
        return toy.loss(model(inputs), targets)

    assert len(toy.range_test(batches=batches, loss=loss, updates=20, high=0.01)) == 20


def test_a_model_of_two_inputs(toy):
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = toy.model

        def forward(self, first, second):
            return self.inner(first + second)

    batches = [(x, x, y) for x, y in zip(toy.inputs.split(16), toy.targets.split(16), strict=True)]
    assert len(toy.range_test(model=Sum(), batches=batches, updates=20, high=0.01)) == 20


@pytest.mark.filterwarnings("ignore:.*iterator cannot be rewound")
@pytest.mark.parametrize("length", [True, False])
def test_a_source_that_runs_out_is_started_again_and_the_notes_say_at_which_updates(toy, length):
    calls = itertools.count()  # an iterator, which is not put back

    def stream():
        next(calls)
        return iter(toy.batches)

    curve = toy.range_test(batches=toy.batches if length else stream, updates=50, stop=None)
    assert length or next(calls) == 4
    assert any(tells(note, "batches", "update", 16, 32, 48) for note in curve.notes)
    assert curve.updates_per_epoch == 16


def test_an_iterator_gives_a_warning_and_ends_the_sweep_when_it_ends(toy):
    with pytest.warns(NotRewoundWarning, match="(?s)generator.*iterator") as warned:
        curve = lr.torch.range_test(toy.model, toy.optimizer, (batch for batch in toy.batches), toy.loss)
    assert warned[0].filename == __file__
    assert len(curve) == 16
    assert curve.ended == "out of batches"
    (note,) = curve.notes
    assert tells(note, "batches", f"{curve.lrs[-1]:.1e}", 15, 100)
    with pytest.warns(NotRewoundWarning), pytest.raises(DataError, match=facts("batches", 0)):
        toy.range_test(batches=iter([]))


def test_tune_learns_the_epoch_from_a_stream_that_ran_out(toy):
    def tuned(**options):
        batches = lambda: iter(toy.batches)  # noqa: E731 - a new iterator, as a user writes it
        return lr.torch.tune(toy.model, toy.optimizer, batches, toy.loss, updates=300, family="triangular2", **options)

    plan = tuned()
    assert any(tells(reason, "step_size", plan.step_size, "epochs", 16) for reason in plan.reasons)
    curve = toy.range_test(batches=lambda: iter(toy.batches))
    assert curve.updates_per_epoch == 16
    plan = tuned(curve=curve)
    assert any(tells(reason, "step_size", plan.step_size, "epochs", 16) for reason in plan.reasons)


def test_tune_says_when_no_epoch_is_known(toy):
    def endless():
        while True:
            yield from toy.batches

    plan = lr.torch.tune(toy.model, toy.optimizer, endless, toy.loss, updates=300, family="triangular2")
    assert any(tells(reason, "step_size", plan.step_size, "epoch", "not known") for reason in plan.reasons)
    assert plan.cycles == 4


def test_groups_keep_the_ratios_of_their_lrs(toy):
    head, rest = toy.model[4].parameters(), toy.model[:4].parameters()
    optimizer = torch.optim.SGD([{"params": rest, "lr": 0.01}, {"params": head, "lr": 0.1}], momentum=0.9)
    used = []
    optimizer.register_step_pre_hook(lambda *_: used.append([group["lr"] for group in optimizer.param_groups]))
    curve = toy.range_test(optimizer=optimizer, updates=20, high=0.01)
    for (low, high), rate in zip(used, curve.lrs, strict=True):
        assert high == pytest.approx(rate)
        assert low == pytest.approx(rate / 10)
    assert [group["lr"] for group in optimizer.param_groups] == [0.01, 0.1]


@pytest.mark.parametrize("driven", [False, True])
def test_groups_with_a_factor_of_timm_are_swept_as_they_are_trained(toy, driven):
    parameters = list(toy.model.parameters())
    groups = [{"params": parameters[:1], "lr_scale": 0.25}, {"params": parameters[1:], "lr_scale": 1.0}]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    if driven:
        lr.torch.Scheduler(optimizer, lr.constant(0.1), relative=True)
    used = []
    handle = optimizer.register_step_pre_hook(lambda o, args, kwargs: used.append([g["lr"] for g in o.param_groups]))
    lr.torch.range_test(toy.model, optimizer, toy.batches, toy.loss, updates=12, low=1e-3, high=1e-2)
    handle.remove()
    assert [first / second for first, second in used] == pytest.approx([0.25] * 12)
    assert used[0][1] == pytest.approx(1e-3)


def test_a_model_in_eval_mode_is_trained_in_train_mode_and_given_back_in_eval_mode(toy):
    toy.model.eval()
    modes = []

    def loss(model, batch):
        modes.append([module.training for module in model.modules()])
        return toy.loss(model(batch[0]), batch[1])

    toy.range_test(loss=loss, updates=10)
    assert all(all(mode) for mode in modes)
    assert not any(module.training for module in toy.model.modules())


def test_a_frozen_batch_norm_stays_frozen_through_evaluations(toy):
    toy.model[1].eval()
    modes = set()
    toy.model[4].register_forward_pre_hook(
        lambda *_: modes.add((toy.model.training, toy.model[1].training, toy.model[3].training))
    )
    lr.torch.tune(toy.model, toy.optimizer, toy.batches, toy.loss, updates=400, evaluate=toy.accuracy)
    assert modes == {(True, False, True), (False, False, False)}  # in updates, and in evaluations


def at_lr(toy, rate):
    toy.optimizer.param_groups[0]["lr"] = rate
    return toy.optimizer


def frozen(toy):
    return {"model": toy.model.requires_grad_(False)}


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (frozen, ValueError, ("model", "parameters", "Sequential")),
        (lambda toy: {"model": nn.ReLU()}, ValueError, ("model", "parameters", "ReLU")),
        (lambda toy: {"model": "net"}, TypeError, ("model", "torch.nn.Module", "'net'")),
        (lambda toy: {"optimizer": "sgd"}, TypeError, ("optimizer", "torch.optim.Optimizer", "'sgd'")),
        (
            lambda toy: {"optimizer": torch.optim.SGD(nn.Linear(1, 1).parameters())},
            ValueError,
            ("optimizer", "parameters", "model"),
        ),
        (lambda toy: {"model": nn.LazyLinear(2)}, ValueError, ("model", "forward pass")),
        (lambda toy: {"loss": lambda m, b: None}, LossError, ("loss", None)),
        (lambda toy: {"seed": -1}, ValueError, ("seed", 0, -1)),
        (lambda toy: {"seed": 2**70}, ValueError, ("seed", 2**70)),
        (lambda toy: {"seed": "a"}, TypeError, ("seed", "integer", "'a'")),
        (lambda toy: {"low": 0.1, "high": 0.1 + 1e-12}, ValueError, ("low", "high", 0.1)),
        (lambda toy: {"batches": []}, DataError, ("batches", "at least one")),
        (lambda toy: {"batches": list}, DataError, ("batches", "at least one")),
        (lambda toy: {"batches": 3}, TypeError, ("batches", 3)),
        (lambda toy: {"loss": "mse"}, TypeError, ("loss", "criterion", "function", "'mse'")),
        (lambda toy: {"loss": nn.MSELoss}, TypeError, ("loss", "class", "MSELoss()")),
        (lambda toy: {"batches": lambda: None}, TypeError, ("batches", "function", "iterator", None)),
        (lambda toy: {"optimizer": at_lr(toy, -1.0)}, ValueError, ("group", "LR", -1.0)),
        (lambda toy: {"optimizer": at_lr(toy, math.nan)}, ValueError, ("group", "LR", "nan")),
        (lambda toy: {"loss": nn.CrossEntropyLoss(reduction="none")}, LossError, ("loss", "scalar", "(16,)")),
        (lambda toy: {"loss": lambda m, b: 1.0}, LossError, ("loss", "tensor", 1.0)),
        (lambda toy: {"loss": lambda m, b: torch.tensor(1.0)}, LossError, ("loss", "parameter", "detach()")),
        (lambda toy: {"loss": lambda m, b: {"cost": 1.0}}, LossError, ("loss", "'loss'", "'cost'")),
        (lambda toy: {"loss": lambda m, b: m(b[0]).sum() * float("nan")}, LossError, ("loss", "nan", "update")),
        (lambda toy: {"batches": [toy.inputs]}, LossError, ("criterion", "batches", "target", "Tensor")),
        (lambda toy: {"low": -1.0}, ValueError, ("low", -1.0)),
        (lambda toy: {"updates": 1}, ValueError, ("updates", 10, 1)),
        (lambda toy: {"seed": ()}, ValueError, ("seed", "one number", "()")),
        (lambda toy: {"seed": (1, 1)}, ValueError, ("seed", "different", "(1, 1)")),
        (lambda toy: {"time_limit": 0}, ValueError, ("time_limit", "above 0", 0)),
        (lambda toy: {"evaluate": 0.5}, TypeError, ("evaluate", "function", 0.5)),
        (lambda toy: {"copy_to": "tape"}, ValueError, ("copy_to", "'auto'", "'device'", "'cpu'", "'disk'", "'tape'")),
    ],
)
def test_wrong_arguments_are_refused_and_nothing_is_changed(toy, change, error, words):
    arguments = change(toy)
    before = {name: value.clone() for name, value in toy.model.state_dict().items()}
    with pytest.raises(error, match=facts(*words)):
        toy.range_test(**arguments)
    for name, value in toy.model.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_source_that_returns_the_same_iterator_twice_is_refused(toy):
    once = iter(toy.batches)
    with pytest.raises(DataError, match=facts("batches", "same iterator")):
        toy.range_test(batches=lambda: once)


@pytest.mark.shows("torch", "range test")
@pytest.mark.parametrize(
    "drive",
    [
        lambda optimizer: lr.torch.Scheduler(optimizer, lr.warmup(0.1, 50)),
        lambda optimizer: lr.torch.attach(optimizer, lr.warmup(0.1, 50), momentum=lr.linear(0.8, 0.9, 50)),
        lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 10),
        lambda optimizer: torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer),
    ],
    ids=["Scheduler", "attach", "StepLR", "ReduceLROnPlateau"],
)
@pytest.mark.parametrize("job", ["range_test", "tune"])
def test_training_with_a_scheduler_is_the_same_with_and_without_a_test_in_the_middle(new_toy, drive, job):
    def trained(disturbed):
        toy = new_toy()
        driver = drive(toy.optimizer)
        scheduler = driver if hasattr(driver, "get_last_lr") else None
        used = []
        toy.optimizer.register_step_pre_hook(lambda *_: used.append(toy.optimizer.param_groups[0]["lr"]))
        torch.manual_seed(1)
        for half in range(2):
            if not isinstance(driver, torch.optim.lr_scheduler.ReduceLROnPlateau):
                toy.train(12, scheduler)
            else:
                toy.train(12)
                driver.step(1.0)
            if disturbed and half == 0:
                before = len(used)
                if job == "tune":
                    with suppress(NoAnswerError):  # a model that is trained already may well give none
                        lr.torch.tune(toy.model, toy.optimizer, toy.batches, toy.loss, updates=300)
                else:
                    curve = toy.range_test(also_keep=[] if scheduler is None else [scheduler], stop=None)
                    assert used[before:] == pytest.approx(curve.lrs.tolist())
                del used[before:]
        return used, toy.model.state_dict()

    plain, disturbed = trained(False), trained(True)
    assert plain[0] == disturbed[0]
    for name, value in plain[1].items():
        assert torch.equal(value, disturbed[1][name]), name


def test_a_trained_model_diverges_relative_to_its_own_start(toy):
    """Four times a best loss near 0 is noise; the sweep goes on until the loss is above its start."""
    torch.manual_seed(0)
    toy.optimizer = torch.optim.AdamW(toy.model.parameters(), lr=1e-2)
    toy.train(300)
    curve = toy.range_test(seed=0)
    assert curve.ended in ("diverged", "not finite")
    assert curve.lrs[-1] > 1e-2


def test_evaluations_are_recorded_at_their_updates(toy):
    curve = toy.range_test(updates=20, high=0.01, evaluate=toy.accuracy, evaluate_every=8)
    measured = [n for n, value in enumerate(curve.metrics["score"]) if value == value]
    assert measured == [7, 15, 19]
    assert toy.model.training


def test_an_evaluation_draws_no_random_numbers_of_the_training(toy):
    generator = torch.Generator().manual_seed(3)
    held_out = torch.utils.data.DataLoader(toy.batches.dataset, batch_size=64, shuffle=True, generator=generator)
    before = torch.get_rng_state(), generator.get_state()
    plain = toy.range_test(updates=20, high=0.01, seed=0)
    evaluated = toy.range_test(updates=20, high=0.01, seed=0, evaluate=held_out)
    noisy = toy.range_test(updates=20, high=0.01, seed=0, evaluate=lambda model: torch.rand(1))
    assert evaluated.losses.tolist() == noisy.losses.tolist() == plain.losses.tolist()
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.equal(generator.get_state(), before[1])


def test_without_restore_the_model_stays_as_the_sweep_left_it(toy):
    before = toy.model[0].weight.clone()
    toy.range_test(updates=20, high=1.0, restore=False)
    assert not torch.equal(toy.model[0].weight, before)
    assert toy.optimizer.state


@pytest.mark.parametrize("kind", ["attach", "Scheduler"])
@pytest.mark.parametrize("tensors", [False, True])
@pytest.mark.parametrize("relative", [False, True])
def test_without_restore_the_lr_is_the_scheduled_one_and_nothing_is_overruled(toy, kind, tensors, relative):
    first, second = torch.tensor([0.5, 0.5]) if tensors else (0.5, 0.5)
    parameters = list(toy.model.parameters())
    groups = [{"params": parameters[:1], "lr": first}, {"params": parameters[1:], "lr": second}]
    optimizer = torch.optim.SGD(groups, lr=0.5)
    driver = getattr(lr.torch, kind)(optimizer, lr.linear(0.5, 0.0, 10), relative=relative, start=3)
    lr.torch.range_test(toy.model, optimizer, toy.batches, toy.loss, updates=20, restore=False)
    assert [float(group["lr"]) for group in optimizer.param_groups] == pytest.approx([0.35, 0.35])
    with warnings.catch_warnings():
        warnings.simplefilter("error", OverruledWarning)
        optimizer.step()
        if kind == "Scheduler":
            driver.step()
    assert [float(group["lr"]) for group in optimizer.param_groups] == pytest.approx([0.3, 0.3])


@pytest.mark.parametrize("what", ["range_test", "tune"])
def test_a_model_is_freed_as_soon_as_it_is_deleted(what):
    def run():
        model = nn.Linear(2, 2)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        batches = [(torch.ones(8, 2), torch.ones(8, 2))] * 10
        getattr(lr.torch, what)(model, optimizer, batches, nn.MSELoss(), updates=100)
        return weakref.ref(model.weight), weakref.ref(optimizer)

    run()  # what is imported at the first call leaves cycles
    gc.collect()
    gc.disable()
    try:
        assert [reference() for reference in run()] == [None, None]
    finally:
        gc.enable()


def test_several_seeds_make_one_curve_with_a_band(toy):
    before = copy.deepcopy(toy.model.state_dict())
    calls = []
    curve = toy.range_test(seed=(3, 4, 5), updates=60, progress=lambda updates, planned: calls.append((updates, planned)))
    assert curve.seeds == (3, 4, 5)
    assert len(curve.sweeps) == 3
    assert curve.sweeps[1].losses == pytest.approx(toy.range_test(seed=4, updates=60).losses[: len(curve)])
    low, high = curve.band()
    assert (low <= high).all()
    assert (low < high).any()
    assert calls[-1][1] == 180
    bounds = curve.bounds()
    assert tells(bounds.reasons.interval, 3, "sweeps")
    for name, ends in vars(bounds.intervals).items():
        assert ends[0] <= getattr(bounds, name) <= ends[1]
    for name, value in toy.model.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("at", [60, 61, 90, 135])
def test_an_interrupt_in_a_later_sweep_keeps_those_that_were_complete(toy, at):
    def progress(updates, planned):
        if updates == at:
            raise KeyboardInterrupt

    curve = toy.range_test(seed=(0, 1, 2), updates=60, high=0.01, stop=None, progress=progress)
    assert len(curve) == 60
    if at == 60:
        assert curve.ended == "interrupted"
        return
    complete = 1 if at < 120 else 2
    assert len(curve.sweeps or (curve,)) == complete
    assert any(tells(note, "interrupted", complete, 3, "sweeps") for note in curve.notes)


def test_several_seeds_start_from_the_same_weights_also_without_restore(toy):
    toy.model = nn.Linear(6, 2)  # nothing random in its forward pass
    toy.optimizer = torch.optim.SGD(toy.model.parameters(), lr=0.1)
    batches = [(toy.inputs, toy.targets)]
    curve = toy.range_test(batches=batches, seed=(0, 1), restore=False, updates=20, high=1.0)
    assert curve.sweeps[0].losses == pytest.approx(curve.sweeps[1].losses)
    assert tells(curve.notes[-1], "sweeps", "same", "seed")
    assert toy.loss(toy.model(toy.inputs), toy.targets).item() != pytest.approx(curve.losses[0], rel=1e-3)


def test_several_seeds_need_batches_that_can_be_iterated_again(toy):
    with pytest.raises(TypeError, match=facts("batches", "iterated again", "function")):
        toy.range_test(batches=iter(toy.batches), seed=(0, 1))
