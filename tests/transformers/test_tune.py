"""Tune and range_test inside a Trainer: its own loss and data, an exact give-back, and a run that follows the plan."""

import json
import random
import shutil

import numpy as np
import pytest
import torch
from transformers import Trainer, TrainerCallback, default_data_collator

import learnrate as lr
from facts import tells
from learnrate.tuner.budget import usual
from trainers import Quiet, Used, language_model, logged, sentences, trainer

pytestmark = [
    pytest.mark.xdist_group("transformers"),
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

RUN = {
    "max_steps": 60,
    "gradient_accumulation_steps": 2,
    "save_strategy": "steps",
    "save_steps": 40,
    "label_smoothing_factor": 0.1,
}


def numbers():
    """The state of all random numbers."""
    return [random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()]


def run_of(folder, callback, **changes):
    used = Used()
    run = trainer(folder, callback, used, **{**RUN, **changes})
    run.train()
    return used, run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A tuned run, and one that follows its plan from the beginning."""
    texts = []
    tune = lr.transformers.Tune(budget="120 updates", report=texts.append)
    folders = [tmp_path_factory.mktemp(name) for name in ("tuned", "followed")]
    tuned = (*run_of(folders[0], tune), numbers(), folders[0])
    follow = lr.transformers.Follow(tune.plan.schedule, relative=True, report=texts.append)
    return tune, texts, tuned, (*run_of(folders[1], follow), numbers(), folders[1])


def without_times(history):
    timed = ("train_runtime", "train_samples_per_second", "train_steps_per_second")
    return [{key: value for key, value in row.items() if key not in timed} for row in history]


@pytest.mark.shows("transformers", "tune in place")
def test_a_tuned_run_is_bit_for_bit_the_run_that_follows_its_plan(runs):
    tune, _, (used, tuned, tuned_numbers, _), (used_too, followed, followed_numbers, _) = runs
    assert used.rows[-60:] == used_too.rows
    assert used.first[-60:] == [tune.plan.schedule(n) for n in range(60)]
    assert without_times(tuned.state.log_history) == without_times(followed.state.log_history)
    assert tuned.state.global_step == followed.state.global_step == 60
    for weight, expected in zip(tuned.model.parameters(), followed.model.parameters(), strict=True):
        assert torch.equal(weight, expected)
    assert tuned_numbers == followed_numbers


def test_a_short_run_is_tuned_with_the_budget_of_its_length(tmp_path):
    tune = lr.transformers.Tune(report=lambda text: None)
    run_of(tmp_path, tune, max_steps=120, gradient_accumulation_steps=1, save_strategy="no")
    assert 0 < tune.plan.spent <= usual(120)


def test_the_updates_of_tuning_are_no_updates_of_the_run(runs):
    _, _, (used, tuned, _, _), _ = runs
    assert len(used.rows) == 60  # the recorder comes after tuning
    assert [row["step"] for row in tuned.state.log_history] == [*range(1, 61), 60]


def test_the_checkpoints_are_those_of_a_run_without_tuning(runs):
    _, _, (_, _, _, tuned), (_, _, _, followed) = runs
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
        loaded = [torch.load(folder / "checkpoint-40" / name, weights_only=False) for folder in (tuned, followed)]
        assert_same(*loaded)
    states = [json.loads((folder / "checkpoint-40" / "trainer_state.json").read_text()) for folder in (tuned, followed)]
    callbacks = [state.pop("stateful_callbacks") for state in states]
    assert callbacks[0]["Tune"]["attributes"] == callbacks[1]["Follow"]["attributes"]
    assert_same(*states)


def assert_same(value, expected):
    if isinstance(value, torch.Tensor):
        assert torch.equal(value, expected)
    elif isinstance(value, np.ndarray):
        assert np.array_equal(value, expected)
    elif isinstance(value, dict):
        assert value.keys() == expected.keys()
        for key in value:
            assert_same(value[key], expected[key])
    elif isinstance(value, (list, tuple)):
        assert len(value) == len(expected)
        for entry, other in zip(value, expected, strict=True):
            assert_same(entry, other)
    else:
        assert value == expected


def test_the_report_says_what_was_set_what_is_chosen_and_what_it_cost(runs):
    tune, texts, _, _ = runs
    assert len(texts) == 2  # one of each run
    plan = tune.plan
    assert tells(texts[0], "5e-05", "linear", f"{plan.max_lr:.2g}", f"{plan.spent} updates", repr(plan.schedule))
    assert 0 < plan.spent <= 120


def test_a_tuned_run_that_resumes_is_not_tuned_again(runs, tmp_path):
    tune, _, (used, tuned, _, folder), _ = runs
    asked, texts = [], []
    again = lr.transformers.Tune(progress=lambda *counts: asked.append(counts), report=texts.append)
    resumed = Used()
    run = trainer(tmp_path, again, resumed, **RUN)
    run.train(resume_from_checkpoint=folder / "checkpoint-40")
    assert not asked
    assert again.plan is None
    assert resumed.first == used.first[40:]
    assert logged(run)[40:] == logged(tuned)[40:]
    assert len(texts) == 1
    # Follow goes on with it too, if it is given the same schedule.
    followed = Used()
    follow = lr.transformers.Follow(tune.plan.schedule, relative=True, report=texts.append)
    trainer(tmp_path, follow, followed, **RUN).train(resume_from_checkpoint=folder / "checkpoint-40")
    assert followed.rows == resumed.rows


def test_a_tuned_run_that_resumes_for_another_length_asks_what_to_do(runs, tmp_path):
    tune, _, (_, _, _, folder), _ = runs
    checkpoint = folder / "checkpoint-40"
    with pytest.raises(lr.errors.ArgumentError, match="on_change") as refused:
        trainer(tmp_path, lr.transformers.Tune(), **{**RUN, "max_steps": 70}).train(resume_from_checkpoint=checkpoint)
    assert tells(str(refused.value), "70", "60", "keep", "rebase")
    assert "'new'" not in str(refused.value)
    keeping = lr.transformers.Tune(on_change="keep", report=lambda text: None)
    with pytest.warns(lr.errors.OtherScheduleWarning, match="keep"):
        trainer(tmp_path, keeping, **{**RUN, "max_steps": 50}).train(resume_from_checkpoint=checkpoint)
    shorter = lr.transformers.Tune(on_change="rebase")
    with pytest.raises(lr.errors.ArgumentError, match="update 40"):
        trainer(tmp_path, shorter, **{**RUN, "max_steps": 30}).train(resume_from_checkpoint=checkpoint)
    used = Used()
    callback = lr.transformers.Tune(on_change="rebase", report=lambda text: None)
    with pytest.warns(lr.errors.OtherScheduleWarning):
        trainer(tmp_path, callback, used, **{**RUN, "max_steps": 70}).train(resume_from_checkpoint=checkpoint)
    assert used.first == [tune.plan.schedule.rebase(40, 70)(n) for n in range(40, 70)]


@pytest.mark.parametrize(
    ("damaged", "words"),
    [
        ({"updates": 40, "max_steps": 60}, "schedules"),
        ([40], "schedules"),
        ({"updates": 40, "max_steps": 60, "schedules": {"lr": ["constant(0.1)", "constant(0.2)"]}}, "one for all groups"),
    ],
)
def test_a_checkpoint_that_has_no_plan_for_all_groups_is_refused_in_one_line(runs, tmp_path, damaged, words):
    _, _, (_, _, _, folder), _ = runs
    checkpoint = shutil.copytree(folder / "checkpoint-40", tmp_path / "checkpoint-40")
    state = json.loads((checkpoint / "trainer_state.json").read_text())
    state["stateful_callbacks"]["Tune"]["attributes"]["learnrate"] = damaged
    (checkpoint / "trainer_state.json").write_text(json.dumps(state))
    with pytest.raises(lr.errors.ArgumentError, match=words):
        trainer(tmp_path, lr.transformers.Tune(), **RUN).train(resume_from_checkpoint=checkpoint)


def noise(outputs, labels, num_items_in_batch=None):
    """A loss from which nothing can be learned."""
    return outputs.logits.mean() * 0 + torch.rand(())


def test_without_an_answer_the_run_goes_on_as_it_was_set_and_says_why(tmp_path):
    texts, used = [], Used()
    tune = lr.transformers.Tune(budget="60 updates", report=texts.append)
    run = trainer(tmp_path, tune, used, max_steps=40, options={"compute_loss_func": noise})
    run.train()
    assert tune.plan is None
    assert used.first == pytest.approx([5e-5 * (40 - n) / 40 for n in range(40)])
    assert logged(run) == used.first
    assert tells(texts[0], "no answer", "5e-05", "linear")
    assert len(texts) == 1


def test_an_answer_may_be_required(tmp_path):
    tune = lr.transformers.Tune(budget="60 updates", require=True)
    run = trainer(tmp_path, tune, max_steps=40, options={"compute_loss_func": noise})
    before = [p.clone() for p in run.model.parameters()]
    with pytest.raises(lr.errors.NoAnswerError):
        run.train()
    assert all(torch.equal(p, weight) for p, weight in zip(run.model.parameters(), before, strict=True))


def padded(rows):
    """A collator that masks a different number of labels in each row."""
    batch = default_data_collator(rows)
    counts = batch["labels"][:, 0] % 6
    batch["labels"][torch.arange(8) < counts[:, None]] = -100
    return batch


@pytest.mark.shows("transformers", "range test")
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_losses_are_those_of_the_trainer_on_its_own_batches(tmp_path, smoothing):
    """At an LR of almost 0 a sweep shows the losses that the run logs: with items counted over accumulated batches."""
    model = language_model()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    changes = {
        "model": model,
        "data": sentences(42),  # the last update of an epoch has one batch
        "options": {"data_collator": padded},
        "max_steps": 10,
        "gradient_accumulation_steps": 2,
        "label_smoothing_factor": smoothing,
        "learning_rate": 1e-9,
        "logging_nan_inf_filter": False,
    }
    run = trainer(tmp_path, **changes)
    curve = lr.transformers.range_test(run, low=1e-9, high=2e-9, updates=10)
    run.train()
    assert curve.losses[:10].tolist() == pytest.approx(logged(run, "loss")[:10], rel=1e-4)
    assert len({round(loss, 3) for loss in logged(run, "loss")}) > 5


def attributes_of(run):
    return {
        name: dict(vars(owner))
        for name, owner in {
            "trainer": run,
            "handler": run.callback_handler,
            "state": run.state,
            "control": run.control,
        }.items()
    }


@pytest.mark.parametrize("trained", [False, True])
def test_a_range_test_gives_the_trainer_back_as_it_was(tmp_path, trained):
    used = Used()
    run = trainer(tmp_path, used, max_steps=6, bf16=True)
    if trained:
        run.train()
    before = attributes_of(run)
    lists = [list(getattr(run.accelerator, name)) for name in ("_models", "_optimizers", "_dataloaders")]
    weights = [p.clone() for p in run.model.parameters()]
    random_numbers, forward = numbers(), vars(run.model).get("forward")
    if trained:
        optimizer = run.optimizer.state_dict()
    curve = lr.transformers.range_test(run, updates=20)
    assert len(curve.losses) > 10
    assert numbers() == random_numbers
    assert attributes_of(run) == before
    assert [list(getattr(run.accelerator, name)) for name in ("_models", "_optimizers", "_dataloaders")] == lists
    assert vars(run.model).get("forward") is forward
    assert all(torch.equal(p, weight) for p, weight in zip(run.model.parameters(), weights, strict=True))
    assert all(p.grad is None for p in run.model.parameters()) or trained
    if trained:
        assert_same(run.optimizer.state_dict(), optimizer)
    assert len(used.rows) == (6 if trained else 0)


def test_tune_as_a_function_sets_nothing_and_chooses_what_the_callback_chooses(runs, tmp_path):
    tune = runs[0]
    run = trainer(tmp_path, **RUN)
    weights = [p.clone() for p in run.model.parameters()]
    plan = lr.transformers.tune(run, budget="120 updates")
    assert plan.schedule == tune.plan.schedule
    assert run.optimizer is None
    for weight, expected in zip(run.model.parameters(), weights, strict=True):
        assert torch.equal(weight, expected)


def test_trials_are_clipped_and_in_the_precision_of_the_run(tmp_path):
    model = language_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    norms, modes = [], set()

    def record(optimizer, *_):
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norms.append(float(torch.stack([g.norm() for g in gradients]).norm()))

    optimizer.register_step_pre_hook(record)
    model.transformer.h[0].register_forward_pre_hook(
        lambda *_: modes.add((torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")))
    )
    run = trainer(tmp_path, model=model, optimizers=(optimizer, None), max_steps=20, max_grad_norm=0.01, bf16=True)
    lr.transformers.range_test(run, updates=20)
    assert len(norms) >= 10
    assert max(norms) == pytest.approx(0.01, rel=0.01)
    assert modes == {(True, torch.bfloat16)}


class Logs(Quiet):
    """A trainer whose loss counts its calls and logs."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.calls, self.metrics = 0, {"calls": []}

    def compute_loss(self, *args, **kwargs):
        self.calls += 1
        self.metrics["calls"].append(self.calls)
        self.log({"call": self.calls})
        return super().compute_loss(*args, **kwargs)


class Heard(TrainerCallback):
    """Counts what the loss of `Logs` logs."""

    calls = 0

    def on_log(self, args, state, control, logs=None, **kwargs):
        self.calls += "call" in logs


def test_ctrl_c_while_tuning_gives_everything_back(tmp_path):
    calls = []

    def interrupt(*counts):
        calls.append(counts)
        if len(calls) == 20:
            raise KeyboardInterrupt

    used, tune = Used(), lr.transformers.Tune(budget="120 updates", progress=interrupt, report=lambda text: None)
    heard = Heard()
    run = trainer(tmp_path, tune, used, heard, kind=Logs, max_steps=60)
    weights = [p.clone() for p in run.model.parameters()]
    callbacks = list(run.callback_handler.callbacks)
    with pytest.raises(KeyboardInterrupt):
        run.train()
    assert all(torch.equal(p, weight) for p, weight in zip(run.model.parameters(), weights, strict=True))
    assert run.callback_handler.callbacks == callbacks
    run.train()  # the callback interrupts once
    assert used.first == [tune.plan.schedule(n) for n in range(60)]
    # What the loss counts and logs while tuning is not heard of.
    assert run.calls == heard.calls == len(logged(run, "call")) == 60


def test_ratios_of_groups_are_kept(tmp_path):
    model = language_model()
    first = list(model.transformer.h.parameters())
    others = [p for p in model.parameters() if not any(p is entry for entry in first)]
    groups = [{"params": first, "lr": 1e-4}, {"params": others}]
    optimizer = torch.optim.AdamW(groups, lr=1e-3)
    used, texts = Used(), []
    tune = lr.transformers.Tune(budget="120 updates", report=texts.append)
    run = trainer(tmp_path, tune, used, model=model, optimizers=(optimizer, None), max_steps=60)
    run.train()
    assert [row[0] / row[1] for row in used.rows] == pytest.approx([0.1] * 60)
    assert used.rows[0][1] == tune.plan.schedule(0)
    assert tells(texts[0], "0.001")  # what the group with the largest LR had


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"budjet": "10%"}, "budget"),
        ({"accumulate": 2}, "trainer"),
        ({"updates": 200}, "trainer"),
        ({"require": 1}, "require"),
        ({"on_change": "x"}, "on_change"),
        ({"report": 1}, "report"),
        ({"on_change": "new"}, "on_change"),  # there is no other schedule
        ({"budget": "ten"}, "budget"),
        ({"family": "cosin"}, "family"),
        ({"low": 1.0, "high": 0.1}, "low"),
        ({"progress": 1}, "progress"),
    ],
)
def test_wrong_arguments_of_tune_are_refused_before_anything_is_trained(options, words):
    with pytest.raises((lr.errors.ArgumentError, lr.errors.ArgumentTypeError), match=words):
        lr.transformers.Tune(**options)


def test_what_is_no_trainer_is_refused(tmp_path):
    for function in (lr.transformers.range_test, lr.transformers.tune):
        with pytest.raises(lr.errors.ArgumentTypeError, match="Trainer"):
            function(language_model())
    run = trainer(tmp_path, max_steps=20)
    with pytest.raises(lr.errors.ArgumentTypeError, match="updates"):
        lr.transformers.range_test(run, updaets=20)
    with pytest.raises(lr.errors.ArgumentTypeError, match="also_keep"):
        lr.transformers.range_test(run, updates=20, also_keep=3)
    assert run.callback_handler.callbacks
    assert run.optimizer is None


def test_what_the_loss_of_a_trainer_counts_and_logs_is_given_back(tmp_path):
    run = trainer(tmp_path, kind=Logs, max_steps=20)
    metrics = run.metrics
    lr.transformers.range_test(run, updates=20)
    assert run.calls == 0
    assert run.metrics is metrics
    assert metrics == {"calls": []}
    assert run.state.log_history == []


class Draws(Trainer):
    """A trainer whose loss draws its own random numbers, and keeps a mean and a module beside the model."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.generators = torch.Generator().manual_seed(0), np.random.default_rng(0)
        self.generator, self.replaced, self.mean = self.generators[0], torch.zeros(3), torch.zeros(3)
        self.recent, self.beside = [torch.zeros(2)], torch.nn.Linear(1, 1)

    def compute_loss(self, model, inputs, return_outputs=False, **options):
        draw = torch.rand(1, generator=self.generator).item() + self.generators[1].random()
        self.mean += 1
        self.replaced = self.replaced + 1
        self.recent[0] += 1
        with torch.no_grad():
            self.beside.weight += 1
        return super().compute_loss(model, inputs, **options) * (1 + draw)


def test_random_numbers_and_tensors_of_a_trainers_own_are_given_back_and_a_module_is_named(tmp_path):
    run = trainer(tmp_path, kind=Draws, max_steps=20)
    before = run.generator.get_state(), run.generators[1].bit_generator.state
    mean, replaced = run.mean, run.replaced
    with pytest.warns(lr.errors.NotRestoredWarning, match="beside"):
        lr.transformers.range_test(run, updates=20)
    assert torch.equal(run.generator.get_state(), before[0])
    assert run.generators[1].bit_generator.state == before[1]
    assert run.mean is mean
    assert run.replaced is replaced
    assert not any(tensor.any() for tensor in (run.mean, run.replaced, run.recent[0]))


class Counts(Trainer):
    """A trainer whose loss makes its count when it is first called."""

    def compute_loss(self, *arguments, **options):
        self.count = getattr(self, "count", 0) + 1
        return super().compute_loss(*arguments, **options)


def test_an_attribute_that_the_loss_adds_counts_from_the_first_update_of_the_run(tmp_path):
    tune = lr.transformers.Tune(budget="45 updates", report=lambda text: None)
    run = trainer(tmp_path, tune, kind=Counts, max_steps=60)
    run.train()
    assert run.count == 60


def test_two_owners_are_refused_before_anything_is_tuned(tmp_path):
    asked = []
    tune = lr.transformers.Tune(budget="120 updates", progress=lambda *counts: asked.append(counts))
    follow = lr.transformers.Follow("constant(0.1)", report=lambda text: None)
    with pytest.raises(lr.errors.AlreadyDrivenError, match="Tune"):
        trainer(tmp_path, follow, tune, max_steps=60).train()
    assert not asked
