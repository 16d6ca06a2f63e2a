"""The methods of the benchmark of choices: their cost is counted, their answers follow from the seed."""

import dataclasses
import importlib.util
import math
from itertools import islice

import pytest
import torch
from benchmarks.choice import training
from benchmarks.choice.methods import finders, peers, search, tuning_free
from benchmarks.choice.methods.method import Answer, Method
from benchmarks.choice.store import FreeRun, Records
from benchmarks.choice.tasks import digits_cnn, digits_mlp

from facts import tells

FINDERS = {
    "fastai": finders.fastai,
    "torch_lr_finder": finders.pytorch_lr_finder,
    "lightning": finders.lightning,
}  # fmt: skip
TUNING_FREE = {"prodigyopt": "Prodigy", "dadaptation": "D-Adaptation", "schedulefree": "Schedule-Free"}
PEERS = {"Prodigy+Schedule-Free": "prodigyplus", "DoWG": "torch", "GeN": "GeN"}
SEARCHES = (search.random_search, search.successive_halving)


def need(package):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: benchmarks/choice/requirements.txt names what the benchmark compares with")


def short(task, updates):
    return dataclasses.replace(task, updates=updates)


def fake(answers):
    return Method(("a", "b"), answers, lambda: "1")


def train(task, seed, updates):
    model, optimizer = training.built(task, seed)
    for batch in islice(training.endless(task.batches()), updates):
        training.step(task, model, optimizer, batch)


def test_the_usual_lr_costs_nothing():
    (choice,) = finders.usual().choose(digits_mlp.task(), 0)
    assert (choice.method, choice.seed, choice.lr, choice.spent) == ("usual", 0, 0.1, 0)


def test_every_update_is_counted_for_all_choices_of_one_run():
    def answers(task, seed):
        train(task, seed, 7)
        return Answer(0.5), Answer(None, "too few")

    first, second = fake(answers).choose(digits_mlp.task(), 3)
    assert (first.method, first.lr, first.spent, first.seed, first.version) == ("a", 0.5, 7, 3, "1")
    assert (second.method, second.lr, second.spent, second.note) == ("b", None, 7, "too few")
    again, _ = fake(answers).choose(digits_mlp.task(), 3)
    assert again == first


def test_a_method_that_fails_gives_no_answer_and_a_note_and_its_updates_count():
    def answers(task, seed):
        train(task, seed, 2)
        raise IndexError("list index\nout of range")

    for choice in fake(answers).choose(digits_mlp.task(), 0):
        assert (choice.lr, choice.spent) == (None, 2)
        assert tells(choice.note, "IndexError", "list index out of range")
        assert len(choice.note.splitlines()) == 1


def test_a_missing_package_is_raised():
    def answers(task, seed):
        raise ModuleNotFoundError("no such package")

    with pytest.raises(ModuleNotFoundError):
        fake(answers).choose(digits_mlp.task(), 0)


@pytest.mark.parametrize("lr", [math.nan, math.inf, 0.0, -1e-3])
def test_an_lr_that_cannot_be_trained_with_is_no_answer(lr):
    first, _ = fake(lambda task, seed: (Answer(lr), Answer(0.1))).choose(digits_mlp.task(), 0)
    assert first.lr is None
    assert tells(first.note, lr)


def test_the_output_of_a_method_is_not_shown(capfd):
    def answers(task, seed):
        print("a greeting")
        return Answer(0.1), Answer(0.2)

    fake(answers).choose(digits_mlp.task(), 0)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("method", SEARCHES)
@pytest.mark.parametrize("budget", [16, 100, 333])
def test_a_search_stays_within_its_budget_and_is_determined_by_the_seed(method, budget):
    need("optuna")
    task = digits_mlp.task()
    choices = [method(budget).choose(task, seed)[0] for seed in (0, 0, 1)]
    assert choices[0] == choices[1]
    assert choices[0].lr != choices[2].lr
    for choice in choices:
        assert search.RANGE[0] <= choice.lr <= search.RANGE[1]
        assert budget / 2 < choice.spent <= budget


@pytest.mark.parametrize("method", SEARCHES)
def test_a_budget_too_small_for_a_search_is_no_answer(method):
    need("optuna")
    (choice,) = method(7).choose(digits_mlp.task(), 0)
    assert (choice.lr, choice.spent) == (None, 0)
    assert tells(choice.note, "budget", 7)


@pytest.mark.parametrize("method", SEARCHES)
def test_a_search_whose_trials_all_diverge_says_so(method):
    need("optuna")
    task = dataclasses.replace(digits_mlp.task(), criterion=lambda output, target: output.sum() * math.nan)
    (choice,) = method(64).choose(task, 0)
    assert choice.lr is None
    assert tells(choice.note, "diverged")
    assert choice.spent <= 64


@pytest.mark.parametrize("package", FINDERS)
def test_a_finder_makes_the_updates_of_a_plain_loop_with_the_clipping_of_the_task(package):
    need(package)
    lrs, losses = [], []
    plain = dataclasses.replace(digits_cnn.task(), clip_norm=0.5)

    def optimizer(model):
        built = plain.optimizer(model)
        built.register_step_pre_hook(lambda used, *_: lrs.append(used.param_groups[0]["lr"]))
        return built

    def criterion(output, target):
        loss = plain.criterion(output, target)
        losses.append(loss.item())
        return loss

    choices = FINDERS[package]().choose(dataclasses.replace(plain, optimizer=optimizer, criterion=criterion), 0)
    model, own = training.built(plain, 0)
    expected = []
    for lr, batch in zip(lrs, islice(training.endless(plain.batches()), len(lrs)), strict=True):
        own.param_groups[0]["lr"] = lr
        expected.append(training.step(plain, model, own, batch))
    assert losses == expected
    assert {choice.spent for choice in choices} == {len(losses)}
    assert all(choice.lr is not None for choice in choices)


@pytest.mark.parametrize("package", FINDERS)
def test_a_finder_is_determined_by_the_seed_and_changes_nothing_else(package, tmp_path, monkeypatch, capfd):
    need(package)
    monkeypatch.chdir(tmp_path)
    task = digits_mlp.task()
    reference = training.train("digits_mlp", task, 0.1, 0, 20)
    method = FINDERS[package]()
    choices = method.choose(task, 0)
    assert method.choose(task, 0) == choices
    assert method.choose(task, 1) != choices
    assert training.train("digits_mlp", task, 0.1, 0, 20) == reference
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")


def test_a_rule_of_fastai_that_fails_leaves_the_others_their_answers():
    notes = {}

    def slide(lrs, losses, updates):
        return lrs[len(losses)], None

    assert finders.apart(slide, notes)([], [], 100) == (None, None)
    assert notes.keys() == {"slide"}
    assert tells(notes["slide"], "IndexError", "list index out of range")
    assert finders.apart(lambda *_: (0.1, 1.0), notes)([], [], 100) == (0.1, 1.0)


@pytest.mark.parametrize("package", TUNING_FREE)
@pytest.mark.parametrize("task", [digits_mlp, digits_cnn])
def test_tuning_free_trainings_are_determined_by_the_seed(package, task, capfd):
    need(package)
    brief = short(task.task(), 60)
    run = tuning_free.train("digits", brief, 0, TUNING_FREE[package])
    assert run == tuning_free.train("digits", brief, 0, TUNING_FREE[package])
    assert (run.optimizer, run.lr, run.made) == (TUNING_FREE[package], 1.0, 60)
    assert run.loss is not None
    assert capfd.readouterr() == ("", "")


OWN = {
    "SGD": lambda weights: torch.optim.SGD(weights, 0.1, momentum=0.8, weight_decay=0.25),
    "Adam": lambda weights: torch.optim.Adam(weights, betas=(0.8, 0.9), weight_decay=0.25),
    "AdamW": lambda weights: torch.optim.AdamW(weights, betas=(0.8, 0.9), weight_decay=0.25),
    "RMSprop": lambda weights: torch.optim.RMSprop(weights, weight_decay=0.25),
    "Adagrad": lambda weights: torch.optim.Adagrad(weights, weight_decay=0.25),
}


@pytest.mark.parametrize("package", TUNING_FREE)
@pytest.mark.parametrize("own", OWN)
def test_tuning_free_optimizers_keep_what_the_task_sets(package, own, capsys):
    need(package)
    model = torch.nn.Linear(2, 2)
    task = OWN[own](model.parameters())
    optimizer = tuning_free.KINDS[TUNING_FREE[package]][0](model, task, 100)
    group, expected = optimizer.param_groups[0], task.param_groups[0]
    assert group["weight_decay"] == 0.25
    if package == "dadaptation":
        assert type(optimizer).__name__ == {"Adagrad": "DAdaptAdaGrad", "SGD": "DAdaptSGD"}.get(own, "DAdaptAdam")
        assert group.get("momentum", 0) == expected.get("momentum", 0)
        assert group.get("decouple", False) == (own == "AdamW")
    if package == "schedulefree":
        assert type(optimizer).__name__ == ("SGDScheduleFree" if own == "SGD" else "AdamWScheduleFree")
        assert group["warmup_steps"] == 10
    elif "betas" in expected:
        assert group["betas"] == (0.8, 0.9)


@pytest.mark.parametrize("kind", PEERS)
@pytest.mark.parametrize("task", [digits_mlp, digits_cnn])
def test_trainings_of_peers_are_determined_by_the_seed_and_learn(kind, task, capfd):
    need(PEERS[kind])
    brief = short(task.task(), 60)
    run = peers.train("digits", brief, 0, kind)
    assert run == peers.train("digits", brief, 0, kind)
    assert run != peers.train("digits", brief, 1, kind)
    assert (run.optimizer, run.made, run.version) == (kind, 60, peers.version(kind))
    model, _ = training.built(brief, 0)
    assert run.test > brief.test(model)
    assert capfd.readouterr() == ("", "")


def test_dowg_makes_the_steps_of_the_paper():
    weights = [torch.nn.Parameter(torch.tensor([3.0, -1.0])), torch.nn.Parameter(torch.tensor([0.5]))]
    unused = torch.nn.Parameter(torch.ones(1))
    optimizer = peers.DoWG([*weights, unused], weight_decay=0.1)
    x = start = torch.tensor([3.0, -1.0, 0.5], dtype=torch.float64)
    far, weighted = math.sqrt(peers.FIRST_SQUARE), 0.0
    for number in range(20):
        gradient = torch.tensor([math.cos(number), 2.0, -0.5], dtype=torch.float64)
        weights[0].grad, weights[1].grad = gradient[:2].float(), gradient[2:].float()
        optimizer.step()
        gradient = gradient + 0.1 * x
        far = max(far, float((x - start).norm()))
        weighted += far**2 * float(gradient.norm()) ** 2
        x = x - far**2 / math.sqrt(weighted) * gradient
        assert torch.cat([weight.detach() for weight in weights]).double().numpy() == pytest.approx(x.numpy(), abs=2e-4)
    assert unused.item() == 1.0


def test_every_optimizer_without_an_lr_has_its_own_name_and_version():
    assert set(peers.FREE) == set(tuning_free.KINDS) | set(peers.KINDS)
    assert len(peers.FREE) == len(tuning_free.KINDS) + len(peers.KINDS)


def test_batch_norm_is_refreshed_on_training_batches_alone():
    task = digits_cnn.task()
    model, _ = training.built(task, 0)
    layer = model[1]
    tuning_free.refresh(model, training.endless(task.batches()))
    assert int(layer.num_batches_tracked) == tuning_free.REFRESHED
    tuning_free.refresh(torch.nn.Linear(2, 2), iter(()))


def test_trainings_of_other_optimizers_are_kept_beside_those_of_the_task(tmp_path):
    own = training.Run("digits_mlp", 1.0, 0, 300, 300, 0.5, 90.0, 91.0)
    other = FreeRun("digits_mlp", 1.0, 0, 300, 300, None, 10.0, 11.0, optimizer="Prodigy", version="1.1.2+0")
    records = Records("digits_mlp", tmp_path)
    records.add(own)
    records.add(other)
    for stored in (records, Records("digits_mlp", tmp_path)):
        assert stored.runs == {(1.0, 0, 300): own}
        assert stored.free == {("Prodigy", 0): other}
