"""Every way to make an update, under the range test: accumulated, in mixed precision, clipped, with a closure."""

import copy
from functools import partial

import pytest
import torch
from torch import nn

import learnrate as lr
from facts import facts, tells
from learnrate.errors import AlreadyDrivenError, LossError


def sweep(toy, **options):
    """A short sweep, up to an LR at which the toy still trains."""
    return toy.range_test(**{"updates": 20, "high": 1e-2, "seed": 0, **options})


def without_dropout(toy):
    """The toy with a model that has nothing random in its forward pass."""
    toy.model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))
    toy.optimizer = torch.optim.SGD(toy.model.parameters(), lr=0.1)
    return toy


def test_accumulated_micro_batches_are_one_update(toy):
    without_dropout(toy)
    inputs, targets = toy.inputs, toy.targets
    batches = list(zip(inputs.split(32), targets.split(32), strict=True))
    halves = list(zip(inputs.split(16), targets.split(16), strict=True))
    plain, accumulated = sweep(toy, batches=batches), sweep(toy, batches=halves, accumulate=2)
    assert len(accumulated) == 20
    assert accumulated.losses == pytest.approx(plain.losses, rel=1e-5)
    assert accumulated.updates_per_epoch == plain.updates_per_epoch == 8


def test_micro_batches_left_at_the_end_of_an_epoch_make_an_update(toy):
    """Five micro-batches, two for each update: the third update has one, and its gradient is not halved."""
    without_dropout(toy)
    halves = list(zip(toy.inputs[:80].split(16), toy.targets[:80].split(16), strict=True))
    gradients = []
    toy.optimizer.register_step_pre_hook(lambda *_: gradients.append(toy.model[0].weight.grad.clone()))
    curve = sweep(toy, batches=halves, accumulate=2, low=1e-9, high=2e-9)
    assert curve.updates_per_epoch == 3
    assert tells(curve.notes[-1], "update", 3, 6, 9, 12, 15, 18)
    toy.loss(toy.model(halves[4][0]), halves[4][1]).backward()
    assert gradients[2] == pytest.approx(toy.model[0].weight.grad, rel=1e-4, abs=1e-7)


def test_mixed_precision_without_a_scaler(toy):
    kinds = set()
    toy.model[4].register_forward_hook(lambda module, inputs, outputs: kinds.add(outputs.dtype))
    sweep(toy, loss=lambda model, batch: toy.loss(model(batch[0]).float(), batch[1]), autocast=torch.bfloat16)
    assert kinds == {torch.bfloat16}


def test_updates_that_the_scaler_skips_are_marked_and_not_counted(toy):
    """Scaled by 2 ** 127, the loss times 8 overflows; the scale is halved until it does not."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    lrs = []
    toy.optimizer.register_step_pre_hook(lambda *_: lrs.append(toy.optimizer.param_groups[0]["lr"]))
    curve = sweep(toy, scaler=scaler, loss=lambda model, batch: 8 * toy.loss(model(batch[0]), batch[1]))
    assert len(curve) == len(lrs) == 20
    assert lrs == pytest.approx(curve.lrs.tolist())
    assert set(curve.skipped) == {0}
    assert any(tells(note, "skipped", len(curve.skipped)) for note in curve.notes)
    assert scaler.get_scale() == 2.0**127


def test_a_scaler_that_skips_everything_is_an_error_not_a_hang(toy):
    def loss(model, batch):
        scores = model(batch[0])
        scores.register_hook(lambda gradient: gradient * float("inf"))
        return toy.loss(scores, batch[1])

    with pytest.raises(LossError, match=facts("scaler", "first update", 40)):
        sweep(toy, scaler=torch.amp.GradScaler("cpu"), loss=loss)


def test_gradients_that_overflow_at_every_further_update_end_the_sweep(toy):
    calls = []

    def loss(model, batch):
        scores = model(batch[0])
        calls.append(None)
        if len(calls) > 12:
            scores.register_hook(lambda gradient: gradient * float("inf"))
        return toy.loss(scores, batch[1])

    curve = sweep(toy, scaler=torch.amp.GradScaler("cpu"), loss=loss)
    assert curve.ended == "not finite"
    assert len(curve) == 12
    assert tells(curve.notes[0], 40, "skipped")


@pytest.mark.parametrize("scaled", [False, True])
def test_gradients_are_clipped(toy, scaled):
    norms, largest = [], []

    def record(*_):
        gradients = [p.grad for p in toy.model.parameters()]
        norms.append(float(torch.cat([g.flatten() for g in gradients]).norm()))
        largest.append(max(float(g.abs().max()) for g in gradients))

    toy.optimizer.register_step_pre_hook(record)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0) if scaled else None
    # Not above the limit, and not far below it, as they would be if they were clipped before they are unscaled.
    sweep(toy, scaler=scaler, clip_norm=0.05)
    assert max(norms) == pytest.approx(0.05, rel=1e-3)
    sweep(toy, scaler=scaler, clip_value=0.001)
    assert max(largest[20:]) == pytest.approx(0.001, rel=1e-3)


@pytest.mark.slow
def test_a_compiled_model(toy):
    without_dropout(toy)
    plain = sweep(toy)
    before = copy.deepcopy(toy.model.state_dict())
    compiled = torch.compile(toy.model, backend="aot_eager")
    assert sweep(toy, model=compiled).losses == pytest.approx(plain.losses, rel=1e-4)
    for name, value in toy.model.state_dict().items():
        assert torch.equal(value, before[name])


def test_frozen_layers_stay_as_they_are(toy):
    toy.model[0].requires_grad_(False)
    before = toy.model[0].weight.clone()
    unchanged = []
    toy.optimizer.register_step_post_hook(lambda *_: unchanged.append(torch.equal(toy.model[0].weight, before)))
    sweep(toy, high=1.0)
    assert all(unchanged)
    assert not toy.model[0].weight.requires_grad


def test_tied_weights_stay_tied():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.into, self.out = nn.Embedding(11, 8), nn.Linear(8, 11, bias=False)
            self.out.weight = self.into.weight

        def forward(self, tokens):
            return self.out(self.into(tokens)).flatten(0, 1)

    model = Tied()
    before = model.into.weight.clone()
    batches = [(torch.randint(11, (4, 5)), torch.randint(11, (20,))) for _ in range(4)]
    optimizer = torch.optim.AdamW(model.parameters())
    lr.torch.range_test(model, optimizer, batches, nn.CrossEntropyLoss(), updates=20)
    assert model.out.weight is model.into.weight
    assert torch.equal(model.into.weight, before)


@pytest.mark.parametrize("warm", [False, True])
def test_sparse_gradients(warm):
    model = nn.Sequential(nn.Embedding(50, 4, sparse=True), nn.Flatten(0, 1), nn.Linear(4, 2))
    optimizers = [torch.optim.SparseAdam(model[0].parameters(), lr=0.1), torch.optim.SGD(model[2].parameters(), lr=0.1)]
    batches = [(torch.randint(50, (4, 5)), torch.randint(2, (20,))) for _ in range(4)]
    if warm:
        nn.functional.cross_entropy(model(batches[0][0]), batches[0][1]).backward()
        for optimizer in optimizers:
            optimizer.step()
    gradient = model[0].weight.grad
    before = model[0].weight.clone(), None if gradient is None else gradient.to_dense().clone()
    curve = lr.torch.range_test(model, optimizers, batches, nn.CrossEntropyLoss(), updates=20)
    assert len(curve) == 20
    assert torch.equal(model[0].weight, before[0])
    assert model[0].weight.grad is gradient
    if gradient is not None:
        assert gradient.is_sparse
        assert torch.equal(gradient.to_dense(), before[1])


@pytest.mark.parametrize("copy_to", ["device", "disk"])
def test_complex_parameters(copy_to):
    class Rotation(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(3, dtype=torch.complex64))

        def forward(self, inputs):
            return (self.weight * inputs).abs().sum(1)

    model = Rotation()
    before = model.weight.detach().clone()
    batches = [(torch.randn(8, 3), torch.ones(8)) for _ in range(4)]
    optimizer = torch.optim.Adam(model.parameters())
    assert len(lr.torch.range_test(model, optimizer, batches, nn.MSELoss(), high=0.1, copy_to=copy_to)) == 100
    assert torch.equal(model.weight, before)


def test_lbfgs_and_others_that_need_a_closure(toy):
    without_dropout(toy)
    toy.optimizer = torch.optim.LBFGS(toy.model.parameters(), lr=1.0, max_iter=4)
    batch = [(toy.inputs, toy.targets)]
    before = copy.deepcopy(toy.model.state_dict())
    curve = sweep(toy, batches=batch, high=1.0)
    assert curve.losses[-1] < curve.losses[0]
    assert toy.loss(toy.model(toy.inputs), toy.targets).item() == pytest.approx(curve.losses[0])
    for name, value in toy.model.state_dict().items():
        assert torch.equal(value, before[name])
    assert not toy.optimizer.state

    class Twice(torch.optim.SGD):
        def step(self, closure):
            closure()
            super().step()

    toy.optimizer = Twice(toy.model.parameters(), lr=0.1)
    assert len(sweep(toy, closure=True)) == 20


def test_a_loss_that_changes_the_lr_is_refused(toy):
    def loss(model, batch):
        toy.optimizer.param_groups[0]["lr"] = 1e-3
        return toy.loss(model(batch[0]), batch[1])

    with pytest.raises(AlreadyDrivenError, match=facts("LR", "sweep", 0.001)):
        sweep(toy, loss=loss)


def test_lbfgs_with_a_scaler_is_refused(toy):
    toy.optimizer = torch.optim.LBFGS(toy.model.parameters())
    with pytest.raises(ValueError, match=facts("scaler", None, "closure")):
        sweep(toy, scaler=torch.amp.GradScaler("cpu"))


@pytest.mark.filterwarnings("ignore:.*iterator cannot be rewound")
def test_micro_batches_must_give_the_same_metrics_and_numbers(toy):
    calls = iter(range(10**6))

    def loss(model, batch):
        values = {"loss": toy.loss(model(batch[0]), batch[1])}
        return {**values, "extra": 1.0} if next(calls) % 2 else values

    with pytest.raises(LossError, match=facts("extra", "number", None)):
        sweep(toy, loss=loss, accumulate=2)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"accumulate": 0}, ValueError, ("accumulate", "at least", 1, 0)),
        ({"autocast": "half"}, TypeError, ("autocast", "torch.dtype", "'half'")),
        ({"scaler": 1024}, TypeError, ("scaler", "torch.amp.GradScaler", 1024)),
        ({"clip_norm": -1.0}, ValueError, ("clip_norm", "above 0", -1.0)),
        ({"closure": True, "scaler": torch.amp.GradScaler("cpu")}, ValueError, ("scaler", None, "closure")),
    ],
)
def test_wrong_options_are_refused(toy, options, error, words):
    with pytest.raises(error, match=facts(*words)):
        sweep(toy, **options)


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [("evalute", "evaluate"), ("hihg", "high"), ("accumlate", "accumulate"), ("clip_grad_norm", "clip_norm")],
)
def test_a_misspelt_argument_is_recognised(toy, misspelt, meant):
    for call in (lr.torch.range_test, partial(lr.torch.tune, updates=300)):
        with pytest.raises(TypeError, match=facts(repr(misspelt), f"did you mean {meant!r}?")):
            call(toy.model, toy.optimizer, toy.batches, toy.loss, **{misspelt: 1})


def test_an_argument_that_resembles_none_is_refused_with_the_options(toy):
    with pytest.raises(TypeError, match=facts("'temperature'", "clip_norm", "closure")):
        lr.torch.tune(toy.model, toy.optimizer, toy.batches, toy.loss, updates=300, temperature={})
