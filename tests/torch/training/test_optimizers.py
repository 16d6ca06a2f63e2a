"""Several optimizers, and several parameter groups, under the range test."""

import copy

import pytest
import torch
from torch import nn

import learnrate as lr
from facts import facts


def sweep(toy, **options):
    """A short sweep, up to an LR at which the toy still trains."""
    return toy.range_test(**{"updates": 20, "high": 1e-2, "seed": 0, **options})


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
    for name, optimizer in optimizers.items():
        optimizer.register_step_pre_hook(lambda *_, name=name: order.append(name))
        optimizer.register_step_pre_hook(lambda opt, *_, name=name: rates[name].append(opt.param_groups[0]["lr"]))
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
        ({"loss": {"discriminator": nn.MSELoss()}}, ValueError, ("loss", "optimizer", "['discriminator']", "generator")),
        ({"loss": {"discriminator": "mse", "generator": nn.MSELoss()}}, TypeError, ("loss['discriminator']", "'mse'")),
        ({"optimizer": {"loss": "adam"}}, TypeError, ("optimizer", "torch.optim.Optimizer", "'adam'")),
        ({"optimizer": {"discriminator": "adam"}}, TypeError, ("optimizer", "torch.optim.Optimizer", "'adam'")),
        ({"optimizer": {}}, ValueError, ("optimizer", "one", "{}")),
        ({"only": "critic"}, ValueError, ("only", "optimizers", "'critic'", "'discriminator', 'generator'")),
        ({"only": ()}, ValueError, ("only", "at least one", "()")),
        ({"only": (1.5,)}, TypeError, ("only", "name", "index", 1.5)),
    ],
)
def test_wrong_optimizers_losses_and_names_are_refused(change, error, words):
    model, optimizers, batches, losses = gan()
    arguments = {"optimizer": optimizers, "loss": losses, **change}
    with pytest.raises(error, match=facts(*words)):
        lr.torch.range_test(model, arguments.pop("optimizer"), batches, arguments.pop("loss"), **arguments)


def test_one_group_is_swept_by_index_or_name_while_the_others_keep_their_lr(toy):
    rest, head = list(toy.model[:4].parameters()), list(toy.model[4].parameters())
    optimizer = torch.optim.SGD([{"params": rest, "lr": 0.03}, {"params": head, "lr": 0.1, "name": "head"}])
    with pytest.raises(ValueError, match=facts("only", "parameter groups", 2, "0, 1, 'head'")):
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


def test_ratios_are_kept_when_a_schedule_has_reached_zero(toy):
    rest, head = list(toy.model[:4].parameters()), list(toy.model[4].parameters())
    optimizer = torch.optim.SGD([{"params": rest, "lr": 0.01}, {"params": head, "lr": 0.1}])
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda update: 0.0)
    assert [group["lr"] for group in optimizer.param_groups] == [0.0, 0.0]
    rates = []
    optimizer.register_step_pre_hook(lambda opt, *_: rates.append([g["lr"] for g in opt.param_groups]))
    sweep(toy, optimizer=optimizer)
    assert all(low == pytest.approx(high / 10) for low, high in rates)
    assert [group["lr"] for group in optimizer.param_groups] == [0.0, 0.0]


def test_one_group_of_a_shared_tensor_lr_is_swept_alone(toy):
    shared = torch.tensor(0.1)
    optimizer = torch.optim.AdamW([{"params": toy.model[0].parameters()}, {"params": toy.model[4].parameters()}], lr=shared)
    rates = []
    optimizer.register_step_pre_hook(lambda opt, *_: rates.append(float(opt.param_groups[1]["lr"])))
    sweep(toy, optimizer=optimizer, only=0)
    assert rates == pytest.approx([0.1] * 20)
    assert optimizer.param_groups[0]["lr"] is optimizer.param_groups[1]["lr"] is shared
    assert shared.item() == pytest.approx(0.1)
