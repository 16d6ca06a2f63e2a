"""Members of an ensemble give the same results as trials one after the other, or an error says why they cannot."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader, TensorDataset

from facts import facts
from learnrate.errors import LossError
from learnrate.torch.ensemble import TorchEnsemble, worthwhile
from learnrate.torch.training import TorchTrainable, Updater
from learnrate.trainable import NotBatchableError

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
    """A different LR at each update, as from a schedule."""
    return lr * (1 + update % 3)


def training_of(model, optimizer=None, loss=CROSS, data=None, **options):
    """A training whose evaluation records the model's state and returns a number computed from it."""
    states = []

    def evaluate(model):
        states.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        return float(next(model.parameters()).sum())

    return TorchTrainable(model, optimizer or sgd(model), data or batches(), loss, evaluate, **options), states


def train_one_by_one(trainable, states, lrs=LRS):
    start = trainable.save()
    metrics, scores = [], []
    for lr in lrs:
        metrics.append([*trainable.read([trainable.update(lr_at(lr, n)) for n in range(UPDATES)])])
        scores.append(trainable.evaluate()["score"])
        trainable.restore(start)
    recorded, states[:] = list(states), []
    return metrics, recorded, scores


def train_as_one_batch(trainable, states, lrs=LRS):
    start = trainable.save()
    ensemble = TorchEnsemble(trainable, len(lrs))
    rows = [ensemble.update([lr_at(lr, n) for lr in lrs]) for n in range(UPDATES)]
    scores = [evaluation and evaluation["score"] for evaluation in ensemble.evaluate()]
    trainable.restore(start)
    return [list(column) for column in zip(*rows, strict=True)], list(states), scores


def require_same_results(trainable, states, accuracy=1e-9):
    before = copy.deepcopy(trainable.model.state_dict())
    single_metrics, single_states, single_scores = train_one_by_one(trainable, states)
    batch_metrics, batch_states, batch_scores = train_as_one_batch(trainable, states)
    for single, member in zip(single_metrics, batch_metrics, strict=True):
        for expected, row in zip(single, member, strict=True):
            assert row == pytest.approx(expected, rel=accuracy, abs=accuracy)
    for single, member in zip(single_states, batch_states, strict=True):
        torch.testing.assert_close(member, single, rtol=accuracy, atol=accuracy)
    assert batch_scores == pytest.approx(single_scores, rel=accuracy, abs=accuracy)
    assert len({member[-1]["loss"] for member in batch_metrics}) == len(LRS)
    torch.testing.assert_close(trainable.model.state_dict(), before, rtol=0, atol=0)


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
def test_the_results_of_every_optimizer_are_the_same(name):
    model = mlp()
    require_same_results(*training_of(model, OPTIMIZERS[name](model)))


@pytest.mark.parametrize(
    "updater",
    [Updater(clip_norm=0.1), Updater(clip_value=0.01), Updater(accumulate=2), Updater(accumulate=3, clip_norm=0.1)],
    ids=str,
)
def test_the_results_of_every_way_to_make_an_update_are_the_same(updater):
    model = mlp(nn.Dropout(0.3))
    require_same_results(*training_of(model, updater=updater))


def test_one_group_can_be_swept_alone():
    model = mlp()
    require_same_results(*training_of(model, OPTIMIZERS["groups"](model), only=1))


def test_an_optimizer_continues_from_its_state():
    model = mlp()
    trainable, states = training_of(model, OPTIMIZERS["adam"](model))
    trainable.update(0.1)
    trainable.rewind()
    require_same_results(trainable, states)


def test_all_members_see_shuffled_data_in_the_order_of_a_single_trial():
    data = TensorDataset(torch.randn(36, 6), torch.randint(0, 3, (36,)))
    require_same_results(*training_of(mlp(nn.Dropout(0.3)), data=DataLoader(data, batch_size=12, shuffle=True)))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.last(self.second(self.first(x).tanh()))


class Reassigning(nn.Module):
    """Replaces one buffer, and only reads another."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 3)
        self.register_buffer("level", torch.zeros(3))
        self.register_buffer("mask", torch.tensor([1.0, 0.0, 1.0, 1.0, 1.0, 1.0]))

    def forward(self, x):
        assert self.mask.any()
        outputs = self.linear(x * self.mask) - self.level
        self.level = 0.9 * self.level + 0.1 * outputs.detach().mean(0)
        return outputs


class Attending(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(6, 2, 8, dropout=0.0, batch_first=True)
        self.norm, self.last = nn.GroupNorm(2, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.last(self.norm(self.layer(x.view(4, 3, 6)).reshape(12, 6)))


class Reversal(torch.autograd.Function):
    """The identity, with the gradient of the opposite sign."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, gradient):
        return -gradient


class ReversalNotBatched(Reversal):
    """Its rule for `vmap` computes the same output, and forgets the sign of the gradient."""

    generate_vmap_rule = False

    @staticmethod
    def vmap(info, in_dims, x):
        return x.clone(), in_dims[0]


class ReversalDetached(ReversalNotBatched):
    """Its rule for `vmap` computes the same output without a gradient."""

    @staticmethod
    def vmap(info, in_dims, x):
        return x.detach().clone(), in_dims[0]


class Reversing(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function.apply(x)


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
    "custom gradient": lambda: mlp(Reversing(Reversal)),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_results_of_every_model_are_the_same(name):
    require_same_results(*training_of(MODELS[name]()))


def test_frozen_batch_norm_keeps_its_mode():
    model = mlp(nn.BatchNorm1d(8))
    model[1].eval()
    require_same_results(*training_of(model))


def with_metrics(model, batch):
    outputs = model(batch[0])
    accuracy = (outputs.argmax(1) == batch[1]).double().mean()
    return {"loss": F.cross_entropy(outputs, batch[1]), "accuracy": accuracy, "constant": 2}


class Learned(nn.Module):
    """A criterion with a parameter and a buffer of its own."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def forward(self, outputs, target):
        self.calls += 1
        return F.cross_entropy(outputs * self.scale, target) + self.scale**2 + 0.01 * self.calls


def test_metrics_and_criteria_with_parameters_are_batched():
    require_same_results(*training_of(mlp(), loss=with_metrics))
    model, criterion = mlp(), Learned()
    require_same_results(
        *training_of(model, torch.optim.SGD([*model.parameters(), *criterion.parameters()], lr=0.1), criterion)
    )


def test_mixed_precision_agrees_up_to_rounding():
    torch.set_default_dtype(torch.float32)
    updater = Updater(autocast=torch.bfloat16)
    require_same_results(*training_of(mlp(), data=batches(torch.float32), updater=updater), accuracy=0.05)


def test_dropout_inside_attention_is_batched_with_other_masks():
    model = Attending()
    model.layer.self_attn.dropout = 0.2
    metrics, _, _ = train_as_one_batch(*training_of(model))
    assert metrics[0][-1]["loss"] < metrics[0][0]["loss"]


def test_removed_members_are_left_out_and_the_others_continue():
    trainable, states = training_of(mlp(nn.BatchNorm1d(8)))
    single_metrics, _, single_scores = train_one_by_one(trainable, states)
    ensemble = TorchEnsemble(trainable, 3)
    for n in range(UPDATES):
        metrics = ensemble.update([lr_at(LRS[0], n), lr_at(LRS[1], n) if n < 4 else None, lr_at(LRS[2], n)])
        assert bool(metrics[1]) == (n < 4)
        assert metrics[2] == pytest.approx(single_metrics[2][n])
    scores = [evaluation and evaluation["score"] for evaluation in ensemble.evaluate()]
    assert scores[1] is None
    assert [scores[0], scores[2]] == pytest.approx([single_scores[0], single_scores[2]])
    assert ensemble.update([None, None, None]) == [{}, {}, {}]


def with_item(model, batch):
    return CROSS(model(batch[0]), batch[1]) * (1 + 0 * model[0].weight.sum().item())


def with_branch(model, batch):
    loss = CROSS(model(batch[0]), batch[1])
    return loss if loss > 0 else -loss


def captured(model):
    weights = list(model.parameters())
    return lambda model, batch: {
        "loss": CROSS(model(batch[0]), batch[1]) + sum(weight.detach().sum() for weight in weights) ** 2
    }


class Hooked(torch.optim.SGD):
    """Has an attribute that torch does not copy."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.factor = 2.0

    def step(self, closure=None):
        self.param_groups[0]["params"][0].grad.mul_(self.factor)
        return super().step(closure)


def constrained(model):
    optimizer = sgd(model)
    optimizer.register_step_post_hook(
        lambda optimizer, *_: [p.data.clamp_(-0.1, 0.1) for g in optimizer.param_groups for p in g["params"]]
    )
    return optimizer


class Remembering(nn.Linear):
    """Assigns its output to an attribute."""

    def forward(self, x):
        self.last = super().forward(x)
        return self.last


class Late(nn.Linear):
    """Replaces a buffer from its third call on."""

    def __init__(self):
        super().__init__(6, 3)
        self.calls = 0
        self.register_buffer("level", torch.zeros(3))

    def forward(self, x):
        outputs = super().forward(x)
        self.calls += 1
        if self.calls == 3:
            self.level = outputs.detach().mean(0)
        return outputs + self.level


def with_foreign_parameter(model):
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


NOT_BATCHABLE = {
    "LBFGS": (mlp, lambda m: torch.optim.LBFGS(m.parameters()), {}, "closure"),
    "closure": (mlp, sgd, {"updater": Updater(closure=True)}, "closure"),
    "scaler": (mlp, sgd, {"updater": Updater(scaler=torch.amp.GradScaler("cpu"))}, "scaler"),
    "turns": (mlp, lambda m: {"a": sgd(m), "b": sgd(m)}, {"loss": {"a": CROSS, "b": CROSS}}, "losses of their own"),
    "recurrent": (Recurrent, sgd, {}, "recurrent"),
    "item": (mlp, sgd, {"loss": with_item}, "item"),
    "branch": (mlp, sgd, {"loss": with_branch}, "control flow"),
    "sparse": (sparse, sgd, {"data": "words"}, "sparse"),
    "captured": (mlp, sgd, {"loss": "captured"}, "another loss"),
    "wrong gradient": (lambda: mlp(Reversing(ReversalNotBatched)), sgd, {}, "other gradients"),
    "no gradient": (lambda: mlp(Reversing(ReversalDetached)), sgd, {}, "other gradients"),
    "running mean of all": (lambda: mlp(nn.BatchNorm1d(8, momentum=None)), sgd, {}, "item"),
    "lost attribute": (mlp, lambda m: Hooked(m.parameters(), lr=0.1), {}, "copies of the optimizer fail"),
    "lost hook": (mlp, constrained, {}, "copies of the optimizer make other updates"),
    "kept output": (lambda: nn.Sequential(Remembering(6, 3)), sgd, {}, "keeps a tensor"),
    "buffer replaced late": (Late, sgd, {}, "all members share"),
    "foreign parameter": (mlp, with_foreign_parameter, {}, "not the model's"),
}


@pytest.mark.parametrize("name", NOT_BATCHABLE)
def test_a_training_that_cannot_be_batched_gives_the_reason_and_can_be_restored(name):
    make, optimizer, options, reason = NOT_BATCHABLE[name]
    model = make()
    options = options | ({"loss": captured(model)} if options.get("loss") == "captured" else {})
    options = options | ({"data": words()} if options.get("data") == "words" else {})
    trainable, _ = training_of(model, optimizer(model), **options)
    start, before = trainable.save(), copy.deepcopy(model.state_dict())
    first = trainable.update(0.01)
    trainable.restore(start)
    numbers = torch.get_rng_state()
    with pytest.raises(NotBatchableError, match=reason) as caught:
        TorchEnsemble(trainable, 2).update([0.01, 0.1])
    assert "\n" not in str(caught.value)
    assert not str(caught.value).endswith(".")
    trainable.restore(start)
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), numbers)
    assert trainable.update(0.01) == first


def test_an_error_that_does_not_come_from_batching_is_raised_as_it_is():
    with pytest.raises(LossError, match=facts("loss", "gradient")):
        TorchEnsemble(training_of(mlp(), loss=lambda model, batch: model(batch[0]).detach().sum())[0], 2).update([0.1, 0.1])
    with pytest.raises(ZeroDivisionError):
        TorchEnsemble(training_of(mlp(), loss=lambda model, batch: 1 / 0)[0], 2).update([0.1, 0.1])


def test_a_failure_after_the_first_update_gives_the_reason_too():
    late = []

    def loss(model, batch):
        value = CROSS(model(batch[0]), batch[1])
        return -value if late and value < 0 else value

    ensemble = TorchEnsemble(training_of(mlp(), loss=loss)[0], 2)
    ensemble.update([0.1, 0.1])
    late.append(1)
    with pytest.raises(NotBatchableError, match="control flow"):
        ensemble.update([0.1, 0.1])


def test_on_a_cpu_batching_is_chosen_for_many_members_of_small_models_without_convolutions():
    cpu = torch.device("cpu")
    assert worthwhile(mlp(nn.BatchNorm1d(8)), cpu, 16)
    assert not worthwhile(mlp(), cpu, 5)
    assert not worthwhile(MODELS["convolution"](), cpu, 16)
    assert not worthwhile(nn.Linear(1000, 1000), cpu, 16)
    assert not worthwhile(Recurrent(), cpu, 16)
