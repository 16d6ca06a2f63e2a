"""probe() of torch models."""

import math

import numpy as np
import pytest
import torch

import learnrate as lr
from facts import facts
from learnrate.errors import AlreadyDrivenError, NoAnswerError
from learnrate.torch.training import TorchTrainable
from learnrate.tuner.probe import METHODS

KINDS = {
    "Adam": torch.optim.Adam,
    "AdamW": lambda p: torch.optim.AdamW(p, lr=torch.tensor(1e-3)),
    "Adamax": torch.optim.Adamax,
    "NAdam": torch.optim.NAdam,
    "RMSprop": torch.optim.RMSprop,
    "RMSprop with momentum": lambda p: torch.optim.RMSprop(p, momentum=0.9),
    "RAdam": torch.optim.RAdam,
    "AdaGrad": torch.optim.Adagrad,
    "Adafactor": torch.optim.Adafactor,
    "Muon": lambda p: torch.optim.Muon([parameter for parameter in p if parameter.ndim == 2]),
    "SGD": lambda p: torch.optim.SGD(p, lr=0.01),
    "SGD with momentum": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True),
}


class Task:
    """A regression with features of several scales, which a small network learns well."""

    def __init__(self, kind="Adam", inner=16):
        torch.manual_seed(0)
        self.inputs = torch.randn(512, 8) * torch.logspace(-0.5, 0.5, 8)
        self.targets = torch.tanh(self.inputs.sum(1, keepdim=True) / 2)
        self.model = torch.nn.Sequential(torch.nn.Linear(8, inner), torch.nn.Tanh(), torch.nn.Linear(inner, 1))
        self.optimizer = KINDS[kind](self.model.parameters())
        self.batches = list(zip(self.inputs.split(32), self.targets.split(32), strict=True))

    def probe(self, loss=None, **changes):
        return lr.torch.probe(
            self.model, self.optimizer, self.batches, loss or torch.nn.MSELoss(), **{"updates": 800, **changes}
        )

    def state(self):
        parts = [value.clone() for value in self.model.state_dict().values()]
        parts += [torch.as_tensor(v) for state in self.optimizer.state.values() for v in state.values() if v is not None]
        settings = [{k: v for k, v in group.items() if k != "params"} for group in self.optimizer.param_groups]
        return parts, repr(settings), torch.get_rng_state()

    def final_loss(self, max_lr, updates=400):
        trainable = TorchTrainable(self.model, self.optimizer, self.batches, torch.nn.MSELoss())
        state = trainable.save()
        schedule = (lr.warmup(max_lr, updates // 10) >> lr.cosine(max_lr, 0.0, updates - updates // 10))(np.arange(updates))
        returned = [trainable.update(float(rate)) for rate in schedule]
        trainable.restore(state)
        trainable.release(state)
        if not all(isinstance(values, dict) for values in returned):
            return math.inf  # a loss was not finite
        return float(np.mean([row["loss"] for row in trainable.read(returned[-updates // 10 :])]))


def same(before, after):
    return (
        all(torch.equal(x, y) for x, y in zip(before[0], after[0], strict=True))
        and before[1] == after[1]
        and torch.equal(before[2], after[2])
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_lr_of_every_kind_of_optimizer_trains_nearly_as_well_as_the_best(kind):
    task = Task(kind)
    before = task.state()
    probe = task.probe()
    assert same(before, task.state())
    assert not task.optimizer._optimizer_step_pre_hooks
    assert not task.optimizer._optimizer_step_post_hooks
    losses = {2.0**k * probe.lr: task.final_loss(2.0**k * probe.lr) for k in (-6, -3, -1, 0, 1, 3)}
    finite = {rate: loss for rate, loss in losses.items() if math.isfinite(loss)}
    start = torch.nn.functional.mse_loss(task.model(task.inputs), task.targets).item()
    assert start - losses[probe.lr] > 0.8 * (start - min(finite.values()))
    assert 0.9 * probe.interval[0] <= min(finite, key=finite.__getitem__) <= 1.1 * probe.interval[1]


@pytest.mark.parametrize("kind", ["AdamW", "SGD with momentum"])
@pytest.mark.parametrize("end", [ValueError, KeyboardInterrupt])
def test_everything_is_given_back_after_an_error(kind, end):
    task, calls = Task(kind), []

    def loss(model, batch):
        calls.append(None)
        if len(calls) > 30:
            raise end
        return torch.nn.functional.mse_loss(model(batch[0]), batch[1])

    before = task.state()
    with pytest.raises(end):
        task.probe(loss, also_keep=[calls])
    assert same(before, task.state())
    assert not task.optimizer._optimizer_step_pre_hooks
    assert not task.optimizer._optimizer_step_post_hooks


def test_the_updates_of_sgd_are_made_without_its_momentum():
    task, momenta = Task("SGD with momentum"), set()
    task.optimizer.register_step_pre_hook(lambda o, args, kwargs: momenta.add(o.param_groups[0]["momentum"]))
    probe = task.probe()
    assert momenta == {0.0}
    plain = Task("SGD").probe()
    assert probe.lr == pytest.approx(plain.lr / 10, rel=0.05)


def test_groups_keep_their_ratios():
    task, rates = Task(), []
    layers = [{"params": task.model[0].parameters(), "lr": 1e-3}, {"params": task.model[2].parameters(), "lr": 2e-4}]
    task.optimizer = torch.optim.Adam(layers)
    task.optimizer.register_step_post_hook(lambda o, args, kwargs: rates.append([group["lr"] for group in o.param_groups]))
    probe = task.probe()
    assert [first for first, _ in rates] == probe.steps.tolist()
    assert all(first == pytest.approx(5 * second) for first, second in rates)
    assert probe.lr > 0


@pytest.mark.parametrize("options", [{"accumulate": 2}, {"clip_norm": 1.0}, {"autocast": torch.bfloat16}])
def test_updates_are_made_as_the_options_say(options):
    plain, other = Task().probe(), Task().probe(**options)
    assert plain.lr / 4 < other.lr < 4 * plain.lr


@pytest.mark.parametrize("fused", [False, True])
def test_updates_that_the_scaler_skips_are_made_again(fused):
    task = Task()
    task.optimizer = torch.optim.Adam(task.model.parameters(), fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**60, growth_interval=10**6)
    probe = task.probe(scaler=scaler)
    assert probe.updates == 100
    assert probe.lr == pytest.approx(task.probe().lr, rel=0.3)
    assert scaler.get_scale() == 2.0**60


def test_gradients_may_be_sparse():
    torch.manual_seed(0)
    model = torch.nn.EmbeddingBag(50, 4, sparse=True)
    words = torch.randint(0, 50, (256, 6))
    batches = list(zip(words.split(16), torch.ones(256, 4).split(16), strict=True))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    assert lr.torch.probe(model, optimizer, batches, torch.nn.MSELoss(), updates=800).lr > 0


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (lambda model: torch.optim.LBFGS(model.parameters()), ("LBFGS", "tune")),
        (lambda model: torch.optim.Adagrad(model.parameters(), lr_decay=0.1), ("Adagrad", "lr_decay")),
        (lambda model: torch.optim.SGD(model.parameters(), momentum=0.9, dampening=1.0), ("dampening", "1")),
        (lambda model: torch.optim.Rprop(model.parameters()), ("Rprop", "each weight")),
        (lambda model: torch.optim.ASGD(model.parameters()), ("ASGD", "tune")),
        (
            lambda model: torch.optim.Adam(
                [{"params": model[0].parameters(), "maximize": True}, {"params": model[2].parameters()}]
            ),
            ("Adam", "maximize"),
        ),
        (lambda model: torch.optim.Adadelta(model.parameters()), ("Adadelta", "tune")),
        (
            lambda model: [torch.optim.Adam(model[0].parameters()), torch.optim.SGD(model[2].parameters())],
            ("mixture",),
        ),
        (
            lambda model: [torch.optim.Adam(model[0].parameters()), torch.optim.Adagrad(model[2].parameters())],
            ("shorten their steps",),
        ),
    ],
)
def test_an_optimizer_without_a_probe_says_so(build, named):
    task = Task()
    task.optimizer = build(task.model)
    with pytest.raises(NoAnswerError, match=facts(*named)):
        task.probe()


def test_several_optimizers_of_one_loss_are_probed_like_groups_of_one():
    expected = Task().probe()
    task = Task()
    task.optimizer = [torch.optim.Adam(task.model[0].parameters()), torch.optim.Adam(task.model[2].parameters())]
    probe = task.probe()
    assert (probe.lr, probe.steps.tolist()) == (expected.lr, expected.steps.tolist())
    for options in ({"clip_norm": 1.0}, {"loss": [torch.nn.MSELoss()] * 2}):
        with pytest.raises(NoAnswerError, match=facts("several optimizers")):
            task.probe(**options)


def test_muon_beside_adamw_makes_the_steps_of_its_own_probe():
    task, rates = Task(), []
    matrices, vectors = ([p for p in task.model.parameters() if p.ndim == d] for d in (2, 1))
    task.optimizer = [
        torch.optim.Muon(matrices, lr=1e-3, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(vectors, lr=1e-3),
    ]
    task.optimizer[1].register_step_post_hook(
        lambda o, *_: rates.append([optimizer.param_groups[0]["lr"] for optimizer in task.optimizer])
    )
    before = [parameter.clone() for parameter in task.model.parameters()]
    probe = task.probe()
    assert all(torch.equal(x, y) for x, y in zip(before, task.model.parameters(), strict=True))
    assert [rate for _, rate in rates] == probe.steps.tolist()
    ratio = METHODS["prodigy"].factor / METHODS["prodigy-muon"].factor
    assert all(muon == pytest.approx(ratio * adamw) for muon, adamw in rates)
    assert 1e-3 < probe.lr < 0.3


def test_one_of_several_optimizers_can_be_probed():
    task = Task()
    task.optimizer = {
        "first": torch.optim.Adam(task.model[0].parameters()),
        "last": torch.optim.Adam(task.model[2].parameters()),
    }
    assert task.probe(only="first").lr > 0


def test_a_seed_decides_the_probe():
    task = Task()
    data = torch.utils.data.TensorDataset(task.inputs, task.targets)
    task.batches = torch.utils.data.DataLoader(data, batch_size=32, shuffle=True)
    first, again, other = task.probe(seed=1), task.probe(seed=1), task.probe(seed=2)
    np.testing.assert_array_equal(first.steps, again.steps)
    assert not np.array_equal(first.steps, other.steps)


def test_a_misspelt_option_is_named():
    with pytest.raises(TypeError, match=facts("clip_norms", "clip_norm")):
        Task().probe(clip_norms=1.0)


def test_a_closure_is_refused():
    with pytest.raises(NoAnswerError, match=facts("closure", "tune")):
        Task().probe(closure=True)


def test_a_group_without_an_lr_has_no_part_in_the_probe():
    task = Task()
    expected = task.probe().lr
    extra = torch.nn.Parameter(torch.zeros(1))
    task.model.register_parameter("extra", extra)
    groups = [{"params": [p for p in task.model.parameters() if p is not extra], "lr": 0.1}, {"params": [extra], "lr": 0.0}]
    task.optimizer = torch.optim.Adam(groups)
    probe = task.probe(lambda m, b: torch.nn.functional.mse_loss(m(b[0]), b[1]) + 1e3 * m.extra.sum())
    assert probe.lr == pytest.approx(expected, rel=0.05)


def test_frozen_parameters_alone_have_no_lr():
    task = Task()
    task.model[0].requires_grad_(False)
    layers = [{"params": list(task.model[0].parameters())}, {"params": list(task.model[2].parameters())}]
    task.optimizer = torch.optim.Adam(layers)
    with pytest.raises(NoAnswerError, match=facts("none of the parameters")):
        task.probe(only=[0])


@pytest.mark.parametrize("kind", ["Adam", "SGD"])
def test_steps_begin_at_a_size_that_weights_of_half_precision_take(kind):
    expected, task = Task(kind).probe().lr, Task(kind)
    task.model.bfloat16()
    task.optimizer = KINDS[kind](task.model.parameters())
    task.batches = [(x.bfloat16(), y.bfloat16()) for x, y in task.batches]
    assert task.probe().lr == pytest.approx(expected, rel=0.5)


@pytest.mark.parametrize("kind", ["Adam", "SGD with momentum"])
def test_a_loss_that_is_to_rise_gives_the_same_lr(kind):
    expected, task = Task(kind).probe(), Task(kind)
    for group in task.optimizer.param_groups:
        group["maximize"] = True
    probe = task.probe(lambda model, batch: -torch.nn.functional.mse_loss(model(batch[0]), batch[1]))
    assert (probe.lr, probe.steps.tolist()) == (expected.lr, expected.steps.tolist())


def test_dampening_shortens_the_steps_that_momentum_adds_up():
    plain, task = Task("SGD with momentum").probe().lr, Task()
    task.optimizer = torch.optim.SGD(task.model.parameters(), momentum=0.9, dampening=0.5)
    assert task.probe().lr == pytest.approx(2 * plain, rel=0.05)
    task.optimizer = torch.optim.SGD(task.model.parameters(), dampening=0.5)  # without momentum it has no effect
    assert task.probe().lr == pytest.approx(10 * plain, rel=0.05)


@pytest.mark.parametrize("kind", ["Adam", "SGD"])
def test_complex_parameters_are_pairs_of_real_ones(kind):
    torch.manual_seed(0)
    x = torch.randn(256, 4, dtype=torch.complex64)
    y = x @ torch.tensor([1 + 2j, -1j, 3, 0.5])
    probes = []
    for is_complex in (True, False):
        model = torch.nn.Module()
        start = torch.zeros(4, dtype=torch.complex64)
        model.weight = torch.nn.Parameter(start if is_complex else torch.view_as_real(start))
        batches = list(zip(x.split(32), y.split(32), strict=True))

        def loss(model, batch):
            weight = model.weight if model.weight.is_complex() else torch.view_as_complex(model.weight)
            return (batch[0] @ weight - batch[1]).abs().square().mean()

        probes.append(lr.torch.probe(model, KINDS[kind](model.parameters()), batches, loss, updates=800))
    np.testing.assert_allclose(probes[0].steps, probes[1].steps, rtol=1e-3)


def test_the_steps_of_adagrad_and_radam_keep_their_size():
    """Their LR rises where they shorten their steps, so that the steps of all three are as large as Adam's."""
    adam = Task().probe()
    for kind in ("AdaGrad", "RAdam"):
        task, rates = Task(kind), []
        task.optimizer.register_step_post_hook(lambda o, *_, rates=rates: rates.append(o.param_groups[0]["lr"]))
        probe = task.probe()
        ratio = np.array(rates) / probe.steps
        assert ratio[50] == pytest.approx(math.sqrt(51) if kind == "AdaGrad" else 6.6, rel=0.05)
        assert adam.steps[-1] / 5 < probe.steps[-1] < 5 * adam.steps[-1]


def test_the_lr_of_muon_follows_how_it_scales_its_steps():
    lrs = []
    for adjust in ("original", "match_rms_adamw"):
        task = Task()
        matrices = [parameter for parameter in task.model.parameters() if parameter.ndim == 2]
        task.optimizer = torch.optim.Muon(matrices[:1], weight_decay=0.0, adjust_lr_fn=adjust)
        lrs.append(task.probe().lr)
    # The spectral norms of a step of a matrix of 16 rows and 8 columns: sqrt(16 / 8), and 0.2 sqrt(16).
    assert lrs[0] * math.sqrt(2) == pytest.approx(lrs[1] * 0.8, rel=0.25)


def test_batches_that_were_left_out_are_noted():
    task = Task()
    task.batches[5] = (task.batches[5][0] * math.nan, task.batches[5][1])
    assert any("left out" in note for note in task.probe().notes)


def test_something_else_that_changes_the_lr_is_refused():
    task = Task()

    def loss(model, batch):
        task.optimizer.param_groups[0]["lr"] = 0.5
        return torch.nn.functional.mse_loss(model(batch[0]), batch[1])

    with pytest.raises(AlreadyDrivenError):
        task.probe(loss)
