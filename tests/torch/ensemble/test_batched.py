"""Racers trained in one batch come out as those trained one after the other, or it says why they cannot be."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader, TensorDataset

from learnrate.errors import LossError
from learnrate.torch.ensemble.batched import Batched
from learnrate.torch.ensemble.conditions import worthwhile
from learnrate.torch.training.loop import Loop
from learnrate.torch.training.update import Updating
from learnrate.tuner.trainee import ApartError

LRS = [0.003, 0.03, 0.1]
UPDATES = 10
CROSS = nn.CrossEntropyLoss()


@pytest.fixture(autouse=True)
def double():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def mlp(*between):
    return nn.Sequential(nn.Linear(6, 8), *between, nn.ReLU(), nn.Linear(8, 3))


def sgd(model, **options):
    return torch.optim.SGD(model.parameters(), lr=0.1, **options)


def batches(dtype=torch.float64):
    return [(torch.randn(12, 6, dtype=dtype), torch.randint(0, 3, (12,))) for _ in range(4)]


def lr_at(lr, update):
    """Another LR at each update, as a schedule has."""
    return lr * (1 + update % 3)


def loop_of(model, optimizer=None, loss=CROSS, data=None, **options):
    """A loop whose evaluation notes the model's state, and gives a number that follows from it."""
    states = []

    def evaluate(model):
        states.append({name: one.clone() for name, one in model.state_dict().items()})
        return float(next(model.parameters()).sum())

    return Loop(model, optimizer or sgd(model), data or batches(), loss, evaluate, **options), states


def race_apart(loop, states, lrs=LRS):
    start = loop.save()
    seen, scores = [], []
    for lr in lrs:
        seen.append([loop.update(lr_at(lr, n)) for n in range(UPDATES)])
        scores.append(loop.evaluate())
        loop.restore(start)
    found, states[:] = list(states), []
    return seen, found, scores


def race_together(loop, states, lrs=LRS):
    start = loop.save()
    racers = Batched(loop, len(lrs))
    rows = [racers.update([lr_at(lr, n) for lr in lrs]) for n in range(UPDATES)]
    scores = racers.evaluate()
    loop.restore(start)
    return [list(column) for column in zip(*rows, strict=True)], list(states), scores


def require_same_races(loop, states, accuracy=1e-9):
    before = copy.deepcopy(loop.model.state_dict())
    apart = race_apart(loop, states)
    together = race_together(loop, states)
    for one, other in zip(apart[0], together[0], strict=True):
        for row, column in zip(one, other, strict=True):
            assert column == pytest.approx(row, rel=accuracy, abs=accuracy)
    for one, other in zip(apart[1], together[1], strict=True):
        torch.testing.assert_close(other, one, rtol=accuracy, atol=accuracy)
    assert together[2] == pytest.approx(apart[2], rel=accuracy, abs=accuracy)
    assert len({row[-1]["loss"] for row in together[0]}) == len(LRS)
    torch.testing.assert_close(loop.model.state_dict(), before, rtol=0, atol=0)


OPTIMIZERS = {
    "sgd": sgd,
    "momentum, decay": lambda m: sgd(m, momentum=0.9, weight_decay=0.1),
    "nesterov": lambda m: sgd(m, momentum=0.9, nesterov=True),
    "foreach": lambda m: sgd(m, momentum=0.9, foreach=True),
    "adam": lambda m: torch.optim.Adam(m.parameters(), weight_decay=0.1),
    "adamw": lambda m: torch.optim.AdamW(m.parameters(), weight_decay=0.1, amsgrad=True),
    "fused adamw": lambda m: torch.optim.AdamW(m.parameters(), fused=True),
    "tensor lr": lambda m: torch.optim.Adam(m.parameters(), lr=torch.tensor(0.1)),
    "rmsprop": lambda m: torch.optim.RMSprop(m.parameters(), momentum=0.5, centered=True),
    "adagrad": lambda m: torch.optim.Adagrad(m.parameters(), lr_decay=0.1),
    "groups": lambda m: torch.optim.SGD([{"params": m[0].parameters(), "lr": 0.5}, {"params": m[-1].parameters()}], lr=0.1),
    "two optimizers": lambda m: [torch.optim.SGD(m[0].parameters(), lr=0.1), torch.optim.Adam(m[-1].parameters(), lr=0.1)],
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name):
    model = mlp()
    require_same_races(*loop_of(model, OPTIMIZERS[name](model)))


@pytest.mark.parametrize(
    "updating",
    [Updating(clip_norm=0.1), Updating(clip_value=0.01), Updating(accumulate=2), Updating(accumulate=3, clip_norm=0.1)],
    ids=str,
)
def test_ways_to_make_an_update(updating):
    model = mlp(nn.Dropout(0.3))
    require_same_races(*loop_of(model, updating=updating))


def test_one_group_alone_is_swept():
    model = mlp()
    require_same_races(*loop_of(model, OPTIMIZERS["groups"](model), only=1))


def test_an_optimizer_goes_on_from_its_state():
    model = mlp()
    loop, states = loop_of(model, OPTIMIZERS["adam"](model))
    loop.update(0.1)
    loop.rewind()
    require_same_races(loop, states)


def test_shuffled_data_come_in_the_same_order():
    data = TensorDataset(torch.randn(36, 6), torch.randint(0, 3, (36,)))
    require_same_races(*loop_of(mlp(nn.Dropout(0.3)), data=DataLoader(data, batch_size=12, shuffle=True)))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.last(self.second(self.first(x).tanh()))


class Reassigning(nn.Module):
    """Puts a new tensor in its buffer's place, and has one that it only reads."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 3)
        self.register_buffer("level", torch.zeros(3))
        self.register_buffer("mask", torch.tensor([1.0, 0.0, 1.0, 1.0, 1.0, 1.0]))

    def forward(self, x):
        assert self.mask.any()
        found = self.linear(x * self.mask) - self.level
        self.level = 0.9 * self.level + 0.1 * found.detach().mean(0)
        return found


class Attending(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(6, 2, 8, dropout=0.0, batch_first=True)
        self.norm, self.last = nn.GroupNorm(2, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.last(self.norm(self.layer(x.view(4, 3, 6)).reshape(12, 6)))


def frozen():
    model = mlp()
    model[0].weight.requires_grad_(False)
    return model


MODELS = {
    "batch norm": lambda: mlp(nn.BatchNorm1d(8)),
    "dropout": lambda: mlp(nn.Dropout(0.5)),
    "layer norm": lambda: mlp(nn.LayerNorm(8), nn.GELU()),
    "convolution": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 2, 3), nn.BatchNorm1d(2), nn.Flatten(), nn.Linear(8, 3)
    ),
    "attention": Attending,
    "tied": Tied,
    "frozen": frozen,
    "reassigning": Reassigning,
}


@pytest.mark.parametrize("name", MODELS)
def test_models(name):
    require_same_races(*loop_of(MODELS[name]()))


def test_frozen_batch_norm_keeps_its_mode():
    model = mlp(nn.BatchNorm1d(8))
    model[1].eval()
    require_same_races(*loop_of(model))


def several(model, batch):
    found = model(batch[0])
    return {"loss": F.cross_entropy(found, batch[1]), "right": (found.argmax(1) == batch[1]).double().mean(), "always": 2}


class Learned(nn.Module):
    """A criterion with a parameter and a buffer of its own."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def forward(self, found, target):
        self.calls += 1
        return F.cross_entropy(found * self.scale, target) + self.scale**2 + 0.01 * self.calls


def test_losses():
    require_same_races(*loop_of(mlp(), loss=several))
    model, criterion = mlp(), Learned()
    require_same_races(*loop_of(model, torch.optim.SGD([*model.parameters(), *criterion.parameters()], lr=0.1), criterion))


def test_mixed_precision_is_the_same_but_for_its_rounding():
    torch.set_default_dtype(torch.float32)
    updating = Updating(autocast=torch.bfloat16)
    require_same_races(*loop_of(mlp(), data=batches(torch.float32), updating=updating), accuracy=0.05)


def test_dropout_inside_of_attention_draws_other_masks_and_is_batched_all_the_same():
    model = Attending()
    model.layer.self_attn.dropout = 0.2
    seen, _, _ = race_together(*loop_of(model))
    assert seen[0][-1]["loss"] < seen[0][0]["loss"]


def test_the_retired_are_left_out_and_the_others_go_on():
    loop, states = loop_of(mlp(nn.BatchNorm1d(8)))
    apart = race_apart(loop, states)
    racers = Batched(loop, 3)
    for n in range(UPDATES):
        seen = racers.update([lr_at(LRS[0], n), lr_at(LRS[1], n) if n < 4 else None, lr_at(LRS[2], n)])
        assert bool(seen[1]) == (n < 4)
        assert seen[2] == pytest.approx(apart[0][2][n])
    scores = racers.evaluate()
    assert scores[1] is None
    assert [scores[0], scores[2]] == pytest.approx([apart[2][0], apart[2][2]])
    assert racers.update([None, None, None]) == [{}, {}, {}]


def with_item(model, batch):
    return CROSS(model(batch[0]), batch[1]) * (1 + 0 * model[0].weight.sum().item())


def with_branch(model, batch):
    loss = CROSS(model(batch[0]), batch[1])
    return loss if loss > 0 else -loss


def captured(model):
    weights = list(model.parameters())
    return lambda model, batch: {"loss": CROSS(model(batch[0]), batch[1]) + sum(one.detach().sum() for one in weights) ** 2}


class Hooked(torch.optim.SGD):
    """Keeps what copies by torch's own way lose."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.factor = 2.0

    def step(self, closure=None):
        self.param_groups[0]["params"][0].grad.mul_(self.factor)
        return super().step(closure)


def constrained(model):
    optimizer = sgd(model)
    optimizer.register_step_post_hook(
        lambda one, *_: [p.data.clamp_(-0.1, 0.1) for g in one.param_groups for p in g["params"]]
    )
    return optimizer


class Keeping(nn.Linear):
    """Keeps its output for those who want to look at it."""

    def forward(self, x):
        self.last = super().forward(x)
        return self.last


class Late(nn.Linear):
    """Begins to replace a buffer at its third call."""

    def __init__(self):
        super().__init__(6, 3)
        self.calls = 0
        self.register_buffer("level", torch.zeros(3))

    def forward(self, x):
        found = super().forward(x)
        self.calls += 1
        if self.calls == 3:
            self.level = found.detach().mean(0)
        return found + self.level


def stranger(model):
    return torch.optim.SGD([*model.parameters(), nn.Parameter(torch.ones(2))], lr=0.1)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.last = nn.GRU(6, 4), nn.Linear(4, 3)

    def forward(self, x):
        return self.last(self.cell(x)[0])


def sparse():
    return nn.Sequential(nn.Embedding(3, 6, sparse=True), nn.Linear(6, 3))


def words():
    return [(torch.randint(0, 3, (12,)), torch.randint(0, 3, (12,))) for _ in range(4)]


APART = {
    "LBFGS": (mlp, lambda m: torch.optim.LBFGS(m.parameters()), {}, "closure"),
    "closure": (mlp, sgd, {"updating": Updating(closure=True)}, "closure"),
    "scaler": (mlp, sgd, {"updating": Updating(scaler=torch.amp.GradScaler("cpu"))}, "scaler"),
    "turns": (mlp, lambda m: {"a": sgd(m), "b": sgd(m)}, {"loss": {"a": CROSS, "b": CROSS}}, "losses of their own"),
    "recurrent": (Recurrent, sgd, {}, "recurrent"),
    "item": (mlp, sgd, {"loss": with_item}, "item"),
    "branch": (mlp, sgd, {"loss": with_branch}, "control flow"),
    "sparse": (sparse, sgd, {"data": "words"}, "sparse"),
    "captured": (mlp, sgd, {"loss": "captured"}, "another loss"),
    "running mean of all": (lambda: mlp(nn.BatchNorm1d(8, momentum=None)), sgd, {}, "item"),
    "lost attribute": (mlp, lambda m: Hooked(m.parameters(), lr=0.1), {}, "copies of the optimizer fail"),
    "lost hook": (mlp, constrained, {}, "copies of the optimizer make other updates"),
    "kept output": (lambda: nn.Sequential(Keeping(6, 3)), sgd, {}, "keeps a tensor"),
    "buffer replaced late": (Late, sgd, {}, "all racers shared"),
    "stranger": (mlp, stranger, {}, "not the model's"),
}


@pytest.mark.parametrize("name", APART)
def test_what_cannot_be_batched_says_why_and_leaves_what_restores(name):
    make, optimizer, options, reason = APART[name]
    model = make()
    options = options | ({"loss": captured(model)} if options.get("loss") == "captured" else {})
    options = options | ({"data": words()} if options.get("data") == "words" else {})
    loop, _ = loop_of(model, optimizer(model), **options)
    start, before = loop.save(), copy.deepcopy(model.state_dict())
    first = loop.update(0.01)
    loop.restore(start)
    numbers = torch.get_rng_state()
    with pytest.raises(ApartError, match=reason) as caught:
        Batched(loop, 2).update([0.01, 0.1])
    assert "\n" not in str(caught.value)
    assert not str(caught.value).endswith(".")
    loop.restore(start)
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert all(one.grad is None for one in model.parameters())
    assert torch.equal(torch.get_rng_state(), numbers)
    assert loop.update(0.01) == first


def test_what_fails_for_one_racer_too_is_the_users_own_error():
    with pytest.raises(LossError, match="without a gradient"):
        Batched(loop_of(mlp(), loss=lambda model, batch: model(batch[0]).detach().sum())[0], 2).update([0.1, 0.1])
    with pytest.raises(ZeroDivisionError):
        Batched(loop_of(mlp(), loss=lambda model, batch: 1 / 0)[0], 2).update([0.1, 0.1])


def test_a_failure_after_the_first_update_is_a_reason_too():
    late = []

    def loss(model, batch):
        found = CROSS(model(batch[0]), batch[1])
        return -found if late and found < 0 else found

    racers = Batched(loop_of(mlp(), loss=loss)[0], 2)
    racers.update([0.1, 0.1])
    late.append(1)
    with pytest.raises(ApartError, match="control flow"):
        racers.update([0.1, 0.1])


def test_on_a_cpu_it_pays_for_many_racers_of_small_models_without_convolutions():
    cpu = torch.device("cpu")
    assert worthwhile(mlp(nn.BatchNorm1d(8)), cpu, 16)
    assert not worthwhile(mlp(), cpu, 5)
    assert not worthwhile(MODELS["convolution"](), cpu, 16)
    assert not worthwhile(nn.Linear(1000, 1000), cpu, 16)
    assert not worthwhile(Recurrent(), cpu, 16)
