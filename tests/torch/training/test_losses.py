"""The two kinds of losses: (outputs, target) and (model, batch)."""

import pytest
import torch
from torch import nn

import learnrate as lr
from facts import facts
from learnrate.errors import LossError
from learnrate.torch.training.losses import BatchLoss


def squared(out, y):
    return ((out.softmax(1)[:, 1] - y) ** 2).mean()


def of_batch(model, batch):
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


class Ratio:
    """A criterion that is neither a module nor a function."""

    def __call__(self, out, y):
        return nn.functional.cross_entropy(out, y) / 2


def loss_of(loss, toy):
    return BatchLoss("loss", loss)(toy.model.eval(), (toy.inputs, toy.targets)).item()


def strict(out, y):
    assert isinstance(out, torch.Tensor)
    return nn.functional.cross_entropy(out, y)


def stricter(out, y):
    if not torch.is_tensor(out):
        raise RuntimeError("only tensors")
    return nn.functional.cross_entropy(out, y)


@pytest.mark.parametrize(
    "criterion",
    [squared, strict, stricter, Ratio(), nn.functional.cross_entropy, lambda out, y: nn.functional.cross_entropy(out, y)],
)
def test_a_criterion_of_outputs_and_target_is_recognised(toy, criterion):
    expected = criterion(toy.model.eval()(toy.inputs), toy.targets).item()
    assert loss_of(criterion, toy) == pytest.approx(expected)
    curve = lr.torch.range_test(toy.model, toy.optimizer, toy.batches, criterion)
    assert len(curve) > 20


def test_a_function_of_model_and_batch_is_called_with_them(toy):
    assert loss_of(of_batch, toy) == pytest.approx(loss_of(nn.CrossEntropyLoss(), toy))


def test_the_kind_is_decided_once(toy):
    calls = []

    def criterion(out, y):
        calls.append(type(out))
        return nn.functional.cross_entropy(out, y)

    loss = BatchLoss("loss", criterion)
    for _ in range(3):
        loss(toy.model, (toy.inputs, toy.targets))
    assert calls == [nn.Sequential, torch.Tensor, torch.Tensor, torch.Tensor]


def test_an_error_of_a_function_that_has_called_the_model_is_raised_unchanged(toy):
    def broken(model, batch):
        return model(batch[0]).no_such_method()

    with pytest.raises(AttributeError, match="no_such_method"):
        BatchLoss("loss", broken)(toy.model, (toy.inputs, toy.targets))


def test_a_loss_of_neither_kind_is_refused_with_both_errors_and_the_users_line(toy):
    def neither(out, y):
        return out.no_such_method() + y.no_such_method()

    with pytest.raises(LossError, match=facts("loss(model, batch)", "loss(outputs, target)", "test_losses.py")) as caught:
        lr.torch.range_test(toy.model, toy.optimizer, toy.batches, neither)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [MemoryError, torch.OutOfMemoryError])
def test_memory_that_runs_out_before_the_model_is_called_is_no_error_of_the_arguments(toy, error):
    def greedy(model, batch):
        # The message differs from call to call, as the free memory does.
        raise error("11 GiB are free" if isinstance(model, nn.Module) else "12 GiB are free")

    with pytest.raises(error, match="11 GiB"):
        lr.torch.range_test(toy.model, toy.optimizer, toy.batches, greedy)

    def greedy_criterion(outputs, targets):
        outputs.mean()
        raise error("13 GiB are free")

    with pytest.raises(error, match="13 GiB"):
        lr.torch.range_test(toy.model, toy.optimizer, toy.batches, greedy_criterion)


@pytest.mark.parametrize("batch", [torch.randn(16, 6), {"x": torch.randn(16, 6)}, (torch.randn(16, 6),)])
def test_a_criterion_for_batches_without_a_target_is_refused_with_the_users_line(toy, batch):
    with pytest.raises(LossError, match=facts("loss(model, batch)", type(batch).__name__, "test_losses.py")):
        lr.torch.range_test(toy.model, toy.optimizer, [batch], squared)


@pytest.mark.parametrize("loss", [lambda batch: batch, lambda model, batch, extra: batch, lambda: None])
def test_a_function_of_another_number_of_arguments_is_refused_before_an_update(toy, loss):
    before = toy.model[0].weight.clone()
    with pytest.raises(TypeError, match=facts("loss", "two arguments")):
        lr.torch.range_test(toy.model, toy.optimizer, [], loss)
    assert torch.equal(toy.model[0].weight, before)


def test_tune_takes_a_plain_criterion_with_a_running_mean_and_gives_it_back(toy):
    class Normalised:
        """A loss divided by its own running mean."""

        mean = 1.0

        def __call__(self, out, y):
            value = nn.functional.cross_entropy(out, y)
            self.mean = 0.9 * self.mean + 0.1 * value.item()
            return value

    loss = Normalised()
    plan = lr.torch.tune(toy.model, toy.optimizer, toy.batches, loss, updates=300, evaluate=toy.accuracy)
    assert loss.mean == 1.0
    plain = lr.torch.tune(toy.model, toy.optimizer, toy.batches, toy.loss, updates=300, evaluate=toy.accuracy)
    assert plan.max_lr == plain.max_lr


def test_tune_restores_what_also_keep_lists(toy, tmp_path, monkeypatch):
    counter = nn.BatchNorm1d(2)

    def loss(model, batch):
        return nn.functional.cross_entropy(counter(model(batch[0])), batch[1])

    lr.torch.tune(toy.model, toy.optimizer, toy.batches, loss, updates=300, also_keep=[counter], copy_to="cpu")
    assert int(counter.num_batches_tracked) == 0
