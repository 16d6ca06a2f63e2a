"""Every way to make an update, under the range test: accumulated, mixed precision, clipped, several optimizers, closures."""

import copy
from functools import partial

import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

import learnrate as lr
from facts import facts
from learnrate.errors import AlreadyDrivenError, LossError


def sweep(toy, **options):
    given = [options.pop(name, getattr(toy, name)) for name in ("model", "optimizer", "batches", "loss")]
    return lr.torch.range_test(*given, **{"updates": 20, "high": 1e-2, "seed": 0, **options})


def still(toy):
    """Without what is random in a forward pass."""
    toy.model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))
    toy.optimizer = torch.optim.SGD(toy.model.parameters(), lr=0.1)
    return toy


def test_accumulated_micro_batches_are_one_update(toy):
    still(toy)
    inputs, targets = toy.inputs, toy.targets
    whole = list(zip(inputs.split(32), targets.split(32), strict=True))
    halves = list(zip(inputs.split(16), targets.split(16), strict=True))
    one, two = sweep(toy, batches=whole), sweep(toy, batches=halves, accumulate=2)
    assert len(two) == 20
    assert two.losses == pytest.approx(one.losses, rel=1e-5)
    assert two.updates_per_epoch == one.updates_per_epoch == 8


def test_a_last_partial_accumulation_is_flushed(toy):
    """Five micro-batches, two an update: the third update has one, and its gradient is not halved."""
    still(toy)
    halves = list(zip(toy.inputs[:80].split(16), toy.targets[:80].split(16), strict=True))
    seen = []
    toy.optimizer.register_step_pre_hook(lambda *_: seen.append(toy.model[0].weight.grad.clone()))
    curve = sweep(toy, batches=halves, accumulate=2, low=1e-9, high=2e-9)
    assert curve.updates_per_epoch == 3
    assert curve.notes[-1].endswith("started again at update 3, 6, 9, 12, 15, 18")
    toy.loss(toy.model(halves[4][0]), halves[4][1]).backward()
    assert seen[2] == pytest.approx(toy.model[0].weight.grad, rel=1e-4, abs=1e-7)


def test_mixed_precision_without_a_scaler(toy):
    kinds = set()
    toy.model[4].register_forward_hook(lambda module, inputs, outputs: kinds.add(outputs.dtype))
    sweep(toy, loss=lambda model, batch: toy.loss(model(batch[0]).float(), batch[1]), autocast=torch.bfloat16)
    assert kinds == {torch.bfloat16}


def test_updates_that_the_scaler_skips_are_marked_and_not_counted(toy):
    """Scaled by 2 ** 127, the loss times 8 overflows; the scale halves until it does not."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    made = []
    toy.optimizer.register_step_pre_hook(lambda *_: made.append(toy.optimizer.param_groups[0]["lr"]))
    curve = sweep(toy, scaler=scaler, loss=lambda model, batch: 8 * toy.loss(model(batch[0]), batch[1]))
    assert len(curve) == len(made) == 20
    assert made == pytest.approx(curve.lrs.tolist())
    assert set(curve.skipped) == {0}
    assert any(f"skipped {len(curve.skipped)} updates" in note for note in curve.notes)
    assert scaler.get_scale() == 2.0**127


def test_a_scaler_that_skips_everything_is_an_error_not_a_hang(toy):
    def loss(model, batch):
        scores = model(batch[0])
        scores.register_hook(lambda gradient: gradient * float("inf"))
        return toy.loss(scores, batch[1])

    with pytest.raises(LossError, match="the scaler skipped it 40 times"):
        sweep(toy, scaler=torch.amp.GradScaler("cpu"), loss=loss)


def test_gradients_that_overflow_for_good_in_mid_sweep_end_it(toy):
    made = []

    def loss(model, batch):
        scores = model(batch[0])
        made.append(None)
        if len(made) > 12:
            scores.register_hook(lambda gradient: gradient * float("inf"))
        return toy.loss(scores, batch[1])

    curve = sweep(toy, scaler=torch.amp.GradScaler("cpu"), loss=loss)
    assert curve.ended == "not finite"
    assert len(curve) == 12
    assert "40 updates in a row were skipped" in curve.notes[0]


@pytest.mark.parametrize("scaled", [False, True])
def test_gradients_are_clipped(toy, scaled):
    norms, largest = [], []

    def look(*_):
        gradients = [p.grad for p in toy.model.parameters()]
        norms.append(float(torch.cat([g.flatten() for g in gradients]).norm()))
        largest.append(max(float(g.abs().max()) for g in gradients))

    toy.optimizer.register_step_pre_hook(look)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0) if scaled else None
    # Neither above the limit nor far below it, as where gradients are clipped before they are unscaled.
    sweep(toy, scaler=scaler, clip_norm=0.05)
    assert max(norms) == pytest.approx(0.05, rel=1e-3)
    sweep(toy, scaler=scaler, clip_value=0.001)
    assert max(largest[20:]) == pytest.approx(0.001, rel=1e-3)


def test_a_compiled_model(toy):
    still(toy)
    plain = sweep(toy)
    before = copy.deepcopy(toy.model.state_dict())
    compiled = torch.compile(toy.model, backend="aot_eager")
    assert sweep(toy, model=compiled).losses == pytest.approx(plain.losses, rel=1e-4)
    for name, value in toy.model.state_dict().items():
        assert torch.equal(value, before[name])


class Gan(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.generator = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))
        self.discriminator = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1))


def gan():
    model = Gan()
    optimizers = {
        "discriminator": torch.optim.Adam(model.discriminator.parameters(), lr=2e-3),
        "generator": torch.optim.Adam(model.generator.parameters(), lr=1e-3),
    }
    judge = nn.functional.binary_cross_entropy_with_logits

    def discriminate(model, batch):
        fake = model.discriminator(model.generator(torch.randn_like(batch)).detach())
        real = model.discriminator(batch)
        return judge(real, torch.ones_like(real)) + judge(fake, torch.zeros_like(fake))

    def generate(model, batch):
        fake = model.discriminator(model.generator(torch.randn_like(batch)))
        return {"loss": judge(fake, torch.ones_like(fake)), "spread": fake.std()}

    return model, optimizers, [torch.randn(32, 2) for _ in range(8)], {"discriminator": discriminate, "generator": generate}


def test_two_optimizers_take_turns(toy):
    model, optimizers, batches, losses = gan()
    rates = {name: [] for name in optimizers}
    order = []
    for name, one in optimizers.items():
        one.register_step_pre_hook(lambda *_, name=name: order.append(name))
        one.register_step_pre_hook(lambda opt, *_, name=name: rates[name].append(opt.param_groups[0]["lr"]))
    curve = lr.torch.range_test(model, optimizers, batches, losses, updates=20, high=1e-2, stop=None)
    assert order[:4] == ["discriminator", "generator", "discriminator", "generator"]
    assert rates["discriminator"] == pytest.approx(curve.lrs.tolist())
    assert rates["generator"] == pytest.approx((curve.lrs / 2).tolist())
    assert set(curve.metrics) == {"discriminator", "generator", "generator spread"}
    assert curve.losses == pytest.approx(curve.metrics["discriminator"] + curve.metrics["generator"])


def test_one_of_two_optimizers_is_swept_while_the_other_trains_at_its_own_lr():
    model, optimizers, batches, losses = gan()
    rates = []
    optimizers["generator"].register_step_pre_hook(lambda opt, *_: rates.append(opt.param_groups[0]["lr"]))
    before = copy.deepcopy(model.state_dict())
    curve = lr.torch.range_test(model, optimizers, batches, losses, updates=20, only="discriminator", stop=None)
    assert rates == [1e-3] * 20
    assert curve.lrs[-1] == pytest.approx(10.0)
    assert curve.losses == pytest.approx(curve.metrics["discriminator"])
    assert curve.of("generator").losses == pytest.approx(curve.metrics["generator"])
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_several_optimizers_of_one_loss(toy):
    optimizers = [torch.optim.SGD(toy.model[:4].parameters(), lr=0.1), torch.optim.AdamW(toy.model[4].parameters(), lr=0.1)]
    assert len(sweep(toy, optimizer=optimizers)) == 20
    assert not optimizers[1].state


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"loss": {"discriminator": nn.MSELoss()}}, ValueError, "one loss for each optimizer, by its name"),
        ({"loss": {"discriminator": "mse", "generator": nn.MSELoss()}}, TypeError, r"loss\['discriminator'\] must be"),
        ({"optimizer": {"loss": "adam"}}, TypeError, "must be a torch.optim.Optimizer, received 'adam'"),
        (
            {"only": "critic"},
            ValueError,
            "only must name optimizers, received 'critic', and not one of 'discriminator', 'generator'",
        ),
        ({"only": ()}, ValueError, "only must name at least one"),
        ({"only": (1.5,)}, TypeError, "only must hold names or indices"),
        ({"optimizer": {}}, ValueError, "optimizer must be at least one"),
        ({"optimizer": {"discriminator": "adam"}}, TypeError, "must be a torch.optim.Optimizer, received 'adam'"),
        ({"accumulate": 0}, ValueError, "accumulate must be at least 1"),
        ({"autocast": "half"}, TypeError, "autocast must be a floating-point torch.dtype"),
        ({"scaler": 1024}, TypeError, "scaler must be a torch.amp.GradScaler"),
        ({"clip_norm": -1.0}, ValueError, "clip_norm must be above 0"),
        ({"evaluate": 0.5}, TypeError, "evaluate must be a function"),
        ({"copy_to": "tape"}, ValueError, "copy_to must be one of 'auto', 'device', 'cpu', 'disk', received 'tape'"),
        ({"seed": ()}, ValueError, "seed must be one number, or several different ones"),
        ({"seed": (1, 1)}, ValueError, "seed must be one number, or several different ones"),
        ({"time_limit": 0}, ValueError, "time_limit must be above 0"),
        (
            {"closure": True, "scaler": torch.amp.GradScaler("cpu")},
            ValueError,
            "scaler must be None if the optimizer needs a closure",
        ),
    ],
)
def test_bad_input_is_refused(change, error, words):
    model, optimizers, batches, losses = gan()
    given = {"optimizer": optimizers, "loss": losses, **change}
    with pytest.raises(error, match=words):
        lr.torch.range_test(model, given.pop("optimizer"), batches, given.pop("loss"), **given)


def test_one_group_is_swept_by_index_or_name_while_the_others_rest(toy):
    rest, head = list(toy.model[:4].parameters()), list(toy.model[4].parameters())
    optimizer = torch.optim.SGD([{"params": rest, "lr": 0.03}, {"params": head, "lr": 0.1, "name": "head"}])
    with pytest.raises(ValueError, match=r"only must name parameter groups, received 2, and not one of 0, 1, 'head'"):
        sweep(toy, optimizer=optimizer, only=2)
    assert len(sweep(toy, optimizer={"both": optimizer}, only="both")) == 20
    for only in (1, "head", ["head"]):
        rates = []
        handle = optimizer.register_step_pre_hook(
            lambda opt, *_, rates=rates: rates.append([g["lr"] for g in opt.param_groups])
        )
        curve = sweep(toy, optimizer=optimizer, only=only)
        handle.remove()
        assert [rate for rate, _ in rates] == [0.03] * 20
        assert [rate for _, rate in rates] == pytest.approx(curve.lrs.tolist())


def test_ratios_are_kept_where_a_schedule_stands_at_zero(toy):
    rest, head = list(toy.model[:4].parameters()), list(toy.model[4].parameters())
    optimizer = torch.optim.SGD([{"params": rest, "lr": 0.01}, {"params": head, "lr": 0.1}])
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda update: 0.0)
    assert [group["lr"] for group in optimizer.param_groups] == [0.0, 0.0]
    rates = []
    optimizer.register_step_pre_hook(lambda opt, *_: rates.append([g["lr"] for g in opt.param_groups]))
    sweep(toy, optimizer=optimizer)
    assert all(low == pytest.approx(high / 10) for low, high in rates)
    assert [group["lr"] for group in optimizer.param_groups] == [0.0, 0.0]


def test_frozen_layers_stay_as_they_are(toy):
    toy.model[0].requires_grad_(False)
    before = toy.model[0].weight.clone()
    seen = []
    toy.optimizer.register_step_post_hook(lambda *_: seen.append(torch.equal(toy.model[0].weight, before)))
    sweep(toy, high=1.0)
    assert all(seen)
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
        for one in optimizers:
            one.step()
    held = model[0].weight.grad
    before = model[0].weight.clone(), None if held is None else held.to_dense().clone()
    curve = lr.torch.range_test(model, optimizers, batches, nn.CrossEntropyLoss(), updates=20)
    assert len(curve) == 20
    assert torch.equal(model[0].weight, before[0])
    assert model[0].weight.grad is held
    if held is not None:
        assert held.is_sparse
        assert torch.equal(held.to_dense(), before[1])


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
    still(toy)
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


def test_a_warm_model_is_judged_by_its_own_start(toy):
    """Trained to a loss near 0, four times the best loss is noise; the sweep goes on until the loss is back where it was."""
    torch.manual_seed(0)
    toy.optimizer = torch.optim.AdamW(toy.model.parameters(), lr=1e-2)
    toy.train(300)
    curve = sweep(toy, updates=100, high=10.0)
    assert curve.ended in ("diverged", "not finite")
    assert curve.lrs[-1] > 1e-2


def test_several_seeds_make_one_curve_with_a_band(toy):
    before = copy.deepcopy(toy.model.state_dict())
    done = []
    curve = sweep(toy, seed=(3, 4, 5), updates=60, high=10.0, progress=lambda made, planned: done.append((made, planned)))
    assert curve.seeds == (3, 4, 5)
    assert len(curve.sweeps) == 3
    assert curve.sweeps[1].losses == pytest.approx(sweep(toy, seed=4, updates=60, high=10.0).losses[: len(curve)])
    low, high = curve.band()
    assert (low <= high).all()
    assert (low < high).any()
    assert done[-1][1] == 180
    bounds = curve.bounds()
    assert "the choice of 3 sweeps" in bounds.reasons.interval
    for name, ends in vars(bounds.intervals).items():
        assert ends[0] <= getattr(bounds, name) <= ends[1]
    for name, value in toy.model.state_dict().items():
        assert torch.equal(value, before[name])


def test_the_papers_own_test(toy):
    held_out = [(toy.inputs[:64], toy.targets[:64]), (toy.inputs[64:128], toy.targets[64:128])]
    curve = lr.torch.accuracy_test(
        toy.model, toy.optimizer, toy.batches, toy.loss, held_out, low=1e-4, high=0.5, epochs=10, seed=0
    )
    assert len(curve) == 160
    assert curve.lrs[1] - curve.lrs[0] == pytest.approx(curve.lrs[-1] - curve.lrs[-2])
    measured = curve.metrics["accuracy"][~torch.isnan(torch.tensor(curve.metrics["accuracy"])).numpy()]
    assert len(measured) > 40
    assert measured.max() > 0.9
    bounds = curve.bounds(lr.rules.accuracy)
    assert 1e-4 <= bounds.base_lr < bounds.max_lr <= 0.5
    with pytest.raises(ValueError, match="held_out must hold at least one batch"):
        lr.torch.accuracy_test(toy.model, toy.optimizer, toy.batches, toy.loss, [], low=1e-4, high=0.5)
    with pytest.raises(ValueError, match="batches must have a length"):
        lr.torch.accuracy_test(toy.model, toy.optimizer, lambda: iter(toy.batches), toy.loss, held_out, low=1e-4, high=0.5)


def test_evaluations_are_recorded_where_they_were_made(toy):
    curve = sweep(toy, evaluate=toy.accuracy, evaluate_every=8)
    measured = [n for n, value in enumerate(curve.metrics["score"]) if value == value]
    assert measured == [7, 15, 19]
    assert toy.model.training


def test_without_restoring_nothing_is_copied_and_everything_is_left(toy):
    before = toy.model[0].weight.clone()
    sweep(toy, restore=False, high=1.0)
    assert not torch.equal(toy.model[0].weight, before)
    assert toy.optimizer.state


def test_a_loss_that_changes_the_lr_is_found_out(toy):
    def loss(model, batch):
        toy.optimizer.param_groups[0]["lr"] = 1e-3
        return toy.loss(model(batch[0]), batch[1])

    with pytest.raises(AlreadyDrivenError, match="the LR must be left alone during a sweep"):
        sweep(toy, loss=loss)


def test_lbfgs_with_a_scaler_is_refused(toy):
    toy.optimizer = torch.optim.LBFGS(toy.model.parameters())
    with pytest.raises(ValueError, match="scaler must be None if the optimizer needs a closure"):
        sweep(toy, scaler=torch.amp.GradScaler("cpu"))


def test_one_group_of_a_shared_tensor_lr_is_swept_alone(toy):
    shared = torch.tensor(0.1)
    optimizer = torch.optim.AdamW([{"params": toy.model[0].parameters()}, {"params": toy.model[4].parameters()}], lr=shared)
    rates = []
    optimizer.register_step_pre_hook(lambda opt, *_: rates.append(float(opt.param_groups[1]["lr"])))
    sweep(toy, optimizer=optimizer, only=0)
    assert rates == pytest.approx([0.1] * 20)
    assert optimizer.param_groups[0]["lr"] is optimizer.param_groups[1]["lr"] is shared
    assert shared.item() == pytest.approx(0.1)


@pytest.mark.parametrize("at", [60, 61, 90, 135])
def test_an_interrupt_in_a_later_sweep_keeps_those_that_were_complete(toy, at):
    def progress(made, planned):
        if made == at:
            raise KeyboardInterrupt

    curve = sweep(toy, seed=(0, 1, 2), updates=60, stop=None, progress=progress)
    assert len(curve) == 60
    if at == 60:
        assert curve.ended == "interrupted"
        return
    complete = 1 if at < 120 else 2
    assert len(curve.sweeps or (curve,)) == complete
    assert f"interrupted: {complete} of 3 sweeps are complete" in " ".join(curve.notes)


def test_several_seeds_start_from_the_same_weights_also_without_restoring(toy):
    still(toy)
    batches = [(toy.inputs, toy.targets)]
    curve = sweep(toy, batches=batches, seed=(0, 1), restore=False, high=1.0)
    assert curve.sweeps[0].losses == pytest.approx(curve.sweeps[1].losses)
    assert "all sweeps are the same" in curve.notes[-1]
    assert toy.loss(toy.model(toy.inputs), toy.targets).item() != pytest.approx(curve.losses[0], rel=1e-3)


def test_several_seeds_need_batches_that_come_again(toy):
    with pytest.raises(TypeError, match="which cannot be restarted"):
        sweep(toy, batches=iter(toy.batches), seed=(0, 1))


def test_micro_batches_must_give_the_same_metrics_and_numbers(toy):
    made = iter(range(10**6))

    def loss(model, batch):
        found = {"loss": toy.loss(model(batch[0]), batch[1])}
        return {**found, "extra": 1.0} if next(made) % 2 else found

    with pytest.raises(LossError, match="extra must be a number, received None"):
        sweep(toy, loss=loss, accumulate=2)


@pytest.mark.parametrize(
    ("held_out", "error", "words"),
    [
        ([(torch.randn(8, 6), torch.zeros(8, 1))], ValueError, r"targets of shape \(8, 1\) for predictions of shape \(8,\)"),
        ([{"x": torch.randn(8, 6)}], ValueError, r"batches of \(inputs, targets\)"),
        (5, TypeError, "held_out must be batches"),
    ],
)
def test_the_accuracy_test_wants_classes(toy, held_out, error, words):
    before = copy.deepcopy(toy.model.state_dict())
    with pytest.raises(error, match=words):
        lr.torch.accuracy_test(toy.model, toy.optimizer, toy.batches, toy.loss, held_out, low=1e-3, high=1.0)
    for name, value in toy.model.state_dict().items():
        assert torch.equal(value, before[name])


def test_the_accuracy_test_sets_its_own_schedule(toy):
    with pytest.raises(TypeError, match="there is no argument 'schedule'"):
        lr.torch.accuracy_test(
            toy.model, toy.optimizer, toy.batches, toy.loss, toy.batches, low=1e-3, high=1.0, schedule="linear"
        )


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [("evalute", "evaluate"), ("hihg", "high"), ("accumlate", "accumulate"), ("clip_grad_norm", "clip_norm")],
)
def test_a_misspelt_argument_is_recognised(toy, misspelt, meant):
    for call in (lr.torch.range_test, partial(lr.torch.tune, updates=300)):
        with pytest.raises(TypeError, match=facts(repr(misspelt), f"did you mean {meant}?")):
            call(toy.model, toy.optimizer, toy.batches, toy.loss, **{misspelt: 1})


def test_an_argument_that_resembles_none_is_refused_with_the_options(toy):
    with pytest.raises(TypeError, match=facts("'updating'", "clip_norm", "closure")):
        lr.torch.tune(toy.model, toy.optimizer, toy.batches, toy.loss, updates=300, updating={})


def test_the_accuracy_test_gives_random_numbers_back(toy):
    before = torch.get_rng_state()
    lr.torch.accuracy_test(toy.model, toy.optimizer, toy.batches, toy.loss, toy.batches, low=1e-3, high=1.0, epochs=2)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_papers_figure(toy):
    curve = lr.torch.accuracy_test(toy.model, toy.optimizer, toy.batches, toy.loss, toy.batches, low=1e-3, high=0.5, seed=0)
    ax = curve.plot(Figure().subplots(), rule=lr.rules.accuracy, metric="accuracy")
    assert (ax.get_xscale(), ax.get_ylabel()) == ("linear", "accuracy")
    assert ax.get_ylim()[1] > 1.05, "room for the labels"
    with pytest.raises(ValueError, match="metric must be one of the curve's"):
        curve.plot(metric="recall")
