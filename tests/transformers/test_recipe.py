"""A comparison whose trainings a Trainer of Transformers makes, by its own loop."""

import re
from pathlib import Path

import pytest
from transformers import EarlyStoppingCallback, GPT2Config, GPT2LMHeadModel, TrainerCallback

import learnrate as lr
from facts import facts
from learnrate.errors import ArgumentError, ArgumentTypeError
from trainers import Given, Quiet, Used, arguments, examples, sentences

pytestmark = [
    pytest.mark.xdist_group("transformers"),
    pytest.mark.slow,
    # Accelerate passes through a module, and says so.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

UPDATES = 12
LOG = []
"""What the trainings of a test have used, in their order."""


def model():
    sizes = {"vocab_size": 32, "n_positions": 8, "n_embd": 8, "n_layer": 1, "n_head": 2}
    return GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0))


def new_trainer(run, new_model=model, data=None, **changes):
    used = Used()
    LOG.append((run, used))
    settings = {"seed": run.seed, "max_steps": run.updates, "gradient_accumulation_steps": 2, "eval_strategy": "steps"}
    settings |= {"eval_steps": 5, "save_strategy": "steps", "save_steps": 6, "learning_rate": 9.0}
    data = sentences() if data is None else data
    args = arguments(run.folder, **{**settings, **changes})
    return Quiet(new_model(), args, train_dataset=data, eval_dataset=data[:8], callbacks=[used])


def recipe(new=new_trainer, **options):
    return lr.transformers.Recipe(new, **{"monitor": "eval_loss", "mode": "min", "updates": UPDATES, **options})


@pytest.fixture(autouse=True)
def empty_log():
    LOG.clear()


@pytest.mark.shows("transformers", "compare")
def test_schedules_are_compared_by_the_trainers_own_loop(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    arms = {"a": lr.constant(0.02), "b": "warmup(0.1, '25%') >> cosine(0.1, 0)"}
    control = [lr.control.plateau(patience=1, monitor="eval_loss"), lr.control.guard()]
    arms["c"] = lr.Arm("constant(0.02)", control=control)
    comparison = lr.compare(arms, recipe(), seeds=2)
    first = [[training.first_loss for training in comparison[name].trainings] for name in arms]
    starts = [[training.start for training in comparison[name].trainings] for name in arms]
    assert first[0] == first[1] == first[2]
    assert first[0][0] != first[0][1]
    assert starts[0] == starts[1] == starts[2]
    trainings = [training for seed in range(2) for training in (comparison[name].trainings[seed] for name in arms)]
    for (run, used), training in zip(LOG, trainings, strict=True):
        assert run.seed == training.seed
        assert used.first == [lr.parse(training.schedule)(update) for update in range(UPDATES)]
        assert training.checkpoints == (5, 10, 12)  # two evaluations of the trainer, and one at the end
        assert training.metric == "-eval_loss"
        assert training.score == training.scores[-1] < 0
        assert len(training.losses) == training.updates == UPDATES
        assert training.seconds > 0
        assert not Path(run.folder).exists()
    assert comparison["a"].trainings[0].end != comparison["b"].trainings[0].end
    assert comparison["a"].trainings[0].losses == comparison["c"].trainings[0].losses
    assert not list(tmp_path.iterdir())


class Stops(TrainerCallback):
    """Ctrl-C after updates of a list, which is emptied by that; before what follows an update, such as an evaluation."""

    def __init__(self, stops):
        self.stops = stops

    def on_step_end(self, args, state, control, **kwargs):
        if self.stops and state.global_step == self.stops[0]:
            self.stops.pop(0)
            raise KeyboardInterrupt


@pytest.mark.parametrize("save_strategy", ["no", "steps"])
def test_an_interrupted_training_goes_on_from_a_checkpoint(tmp_path, save_strategy):
    def new(run):
        trainer = new_trainer(run, save_strategy=save_strategy)
        trainer.add_callback(Stops(stops))
        return trainer

    arms = {"a": lr.Arm("one_cycle(0.1)", control=lr.control.plateau(patience=1, monitor="eval_loss"))}
    options = {"study": tmp_path / "study.sqlite", "seeds": 1, "checkpoint_every": 1e-9}
    stops = []
    [undisturbed] = lr.compare(arms, recipe(new), seeds=1)["a"].trainings
    stops += [5, 9]
    for last in (4, 8):
        with pytest.raises(KeyboardInterrupt):
            lr.compare(arms, recipe(new), **options)
        folder = Path(LOG[-1][0].folder)
        assert [path.name for path in folder.glob("*/checkpoint-*")] == [f"checkpoint-{last}"]
    assert [path.name for path in folder.glob("checkpoint-*")] == ["checkpoint-6"] * (save_strategy == "steps")
    [training] = lr.compare(arms, recipe(new), **options)["a"].trainings
    assert [len(used.first) for _, used in LOG] == [12, 5, 5, 4]
    assert not folder.exists()
    [note] = set(training.notes) - set(undisturbed.notes)
    assert "8 updates" in note
    assert measured(training) == measured(undisturbed)


def measured(training):
    """What a training that goes on has in common with an undisturbed one."""
    names = ("losses", "scores", "checkpoints", "more", "start", "end", "schedule", "first_loss")
    return {name: getattr(training, name) for name in names}


BEST = {"load_best_model_at_end": True, "metric_for_best_model": "eval_loss"}


@pytest.mark.parametrize(
    ("stops", "learning_rate", "changes"),
    [
        ([9], 0.1, {"eval_strategy": "epoch"}),
        ([3, 11], 1.0, {"eval_steps": 2, "save_strategy": "best", **BEST}),
        ([3, 11], 1.0, {"eval_steps": 2, "save_steps": 4, **BEST}),
        ([11], 1.0, {"eval_steps": 2, "save_steps": 2, "restore_callback_states_from_checkpoint": True, **BEST}),
    ],
)
def test_evaluations_and_the_best_model_are_those_of_an_undisturbed_training(tmp_path, stops, learning_rate, changes):
    def new(run):
        settings = {"metric_for_best_model": "eval_loss", "save_strategy": "steps", **changes}
        trainer = new_trainer(run, per_device_train_batch_size=4, **settings)
        trainer.add_callback(EarlyStoppingCallback(3))
        trainer.add_callback(Stops(remaining))
        return trainer

    def compare(study):
        options = {"study": study, "seeds": 1, "checkpoint_every": 1e-9}
        [training] = lr.compare({"a": lr.constant(learning_rate)}, recipe(new, updates=24), **options)["a"].trainings
        return training

    folder, remaining = tmp_path / "study", []
    undisturbed = compare(None)
    remaining += stops
    for number in range(len(stops)):
        folder.mkdir(exist_ok=True)
        with pytest.raises(KeyboardInterrupt):
            compare(folder / "study.sqlite")
        folder = folder.rename(tmp_path / f"moved {number}")  # the best model, too
    training = compare(folder / "study.sqlite")
    assert measured(training) == measured(undisturbed)
    assert (training.updates < 24) == (learning_rate == 1.0)


def test_a_trainer_whose_checkpoints_lack_something_says_so(tmp_path):
    def new(run):
        return new_trainer(run, save_only_model=True)

    [training] = lr.compare({"a": lr.constant(0.02)}, recipe(new), seeds=1, study=tmp_path / "study.sqlite")["a"].trainings
    [note] = training.notes
    assert "save_only_model" in note


def test_a_model_that_the_trainer_cannot_save_is_trained_without_checkpoints(tmp_path):
    class Refuses(Given):
        def state_dict(self, *args, **kwargs):
            raise RuntimeError("no state")

    used = recipe(
        lambda run: new_trainer(run, Refuses, examples(bad=False), save_strategy="no", optim="sgd"), monitor=None, mode=None
    )
    options = {"study": tmp_path / "study.sqlite", "seeds": 1, "checkpoint_every": 1e-9}
    [training] = lr.compare({"a": lr.constant(0.02)}, used, **options)["a"].trainings
    assert training.updates == UPDATES
    [note] = training.notes
    assert "no state" in note


def test_the_losses_are_those_of_the_trainer_and_a_guard_leaves_batches_out():
    logged = []

    def new(run):
        trainer = new_trainer(run, Given, examples(), gradient_accumulation_steps=1, max_steps=24, optim="sgd")
        logged.append(trainer)
        return trainer

    arms = {"plain": lr.constant(0.01), "guarded": lr.Arm("constant(0.01)", control=lr.control.guard())}
    comparison = lr.compare(arms, recipe(new, monitor=None, mode=None, updates=24), seeds=1)
    [plain], [guarded] = (comparison[name].trainings for name in arms)
    assert plain.updates < 24
    assert any("ended after" in note for note in plain.notes)
    assert guarded.updates == 22  # the trainer counts the two batches that were left out
    assert any("left out (2 times)" in note for note in guarded.notes)
    rows = [row["loss"] for row in logged[0].state.log_history if "loss" in row]
    assert plain.losses[:-1] == pytest.approx(rows[: plain.updates - 1], abs=1e-4)


def test_an_arm_is_tuned_by_trials_of_its_trainer():
    arms = {"a": "linear(1, 0, '100%')"}
    comparison = lr.compare(arms, recipe(updates=40), seeds=1, tune_each="150 updates")
    chosen, [training] = comparison["a"].chosen, comparison["a"].trainings
    assert chosen.updates > 0
    assert lr.parse(training.schedule).max == pytest.approx(chosen.max_lr)


def failures(new):
    comparison = lr.compare({"a": lr.constant(0.02)}, recipe(new), seeds=1)
    return " ".join(failure.error for failure in comparison["a"].failures.values())


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (lambda run: new_trainer(run, max_steps=3), ("max_steps", 12, 3)),
        (lambda run: new_trainer(run, seed=3), ("seed", 0, 3)),
        (lambda run: new_trainer(run, output_dir="elsewhere"), ("output_dir", "run.folder")),
        (lambda run: None, ("Recipe.trainer", "Trainer")),
        (lambda run: run.sed, ("Recipe.trainer", "sed")),
    ],
)
def test_what_would_be_another_training_is_refused(new, words, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert re.search(facts(*words), failures(new))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": None}, ("monitor", "mode", "together")),
        ({"mode": "higher"}, ("mode", "min", "max")),
        ({"new": Quiet}, ("Recipe.trainer", "function")),
        ({"updates": 0}, ("updates", 1, 0)),
    ],
)
def test_arguments_are_checked_when_a_recipe_is_made(options, words):
    with pytest.raises((ArgumentError, ArgumentTypeError), match=facts(*words)):
        recipe(**options)


def test_a_monitor_that_is_not_measured_is_refused():
    comparison = lr.compare({"a": lr.constant(0.02)}, recipe(monitor="eval_lost"), seeds=1)
    assert re.search(facts("eval_lost", "eval_loss"), str(comparison["a"].failures[0].error))


def test_it_has_no_updates_to_drive():
    with pytest.raises(ArgumentError, match=facts("transformers", "tune")):
        recipe().trainable(0)
