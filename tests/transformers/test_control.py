"""Control of a Trainer: the losses that it back-propagates, what controllers do to its run, and runs that are resumed."""

import math
import random

import pytest
import torch
from transformers import TrainerCallback

import learnrate as lr
from controllers import Heard, halve_when_stalled, skip_not_finite, stop_after
from learnrate.control import Undo
from learnrate.errors import ArgumentError, ArgumentTypeError, LearnrateWarning, OtherScheduleWarning
from trainers import Given, Quiet, Used, examples, language_model, logged, sentences, trainer

pytestmark = [
    pytest.mark.xdist_group("transformers"),
    pytest.mark.slow,
    # Accelerate passes through a module, and says so.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

UPDATES = 24
SCHEDULE = lr.warmup(0.01, "25%") >> lr.one_cycle(0.04)
CONTROL = {"plateau": halve_when_stalled(4), "guard": skip_not_finite()}


def follow(schedule=SCHEDULE, **options):
    return lr.transformers.Follow(schedule, **{"report": lambda text: None, **options})


class Acts(TrainerCallback):
    """Listens, and changes the LR by hand."""

    def __init__(self, callback, by_hand=False):
        self.callback, self.by_hand, self.heard = callback, by_hand, Heard()

    def on_train_begin(self, args, state, control, **kwargs):
        self.callback.control.listeners.append(self.heard)

    def on_step_begin(self, args, state, control, **kwargs):
        if self.by_hand and state.global_step == 9:
            self.callback.scale(0.5, "to see what it does")
        if self.by_hand and state.global_step == 16:
            self.callback.control.request(Undo())


def run(folder, callback=None, by_hand=True, resume=None, **changes):
    """A run over given losses: the callback, the LRs that were used, what a listener heard, and the trainer."""
    callback = callback or follow(control=CONTROL)
    acts, used = Acts(callback, by_hand), Used()
    settings = {"model": Given(), "data": examples(), "max_steps": UPDATES, "optim": "sgd"}
    engine = trainer(folder, callback, acts, used, **{**settings, **changes})
    engine.train(resume_from_checkpoint=resume)
    return callback, used, acts.heard, engine


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    folder = tmp_path_factory.mktemp("steered")
    return *run(folder, save_strategy="steps", save_steps=1), folder


@pytest.mark.shows("transformers", "control")
def test_a_run_that_is_resumed_uses_the_lrs_of_the_run_through(straight, tmp_path):
    callback, used, heard, _, folder = straight
    at = random.Random(17).randrange(2, UPDATES)
    resumed, later, _, _ = run(tmp_path, resume=folder / f"checkpoint-{at}")
    events = callback.control.events
    left_out = [event.update + place for place, event in enumerate(event for event in events if event.kind == "skip")]
    count = at - sum(step < at for step in left_out)
    assert len(left_out) == 2
    assert later.first == used.first[count:]
    assert resumed.control.schedule == callback.control.schedule
    assert used.first == [callback.control.schedule(n) for n in range(UPDATES - 2)]
    kinds = {(event.kind, event.who) for event in events}
    assert {("scale", "plateau"), ("scale", "by hand"), ("undo", "by hand"), ("skip", "guard")} == kinds
    assert len(heard.updates) == UPDATES - 2


@pytest.mark.shows("transformers", "record")
def test_the_record_of_a_resumed_run_is_the_schedule_that_was_used(straight, tmp_path):
    _, used, heard, _, _ = straight
    file = tmp_path / "run.sqlite"
    run(tmp_path, follow(control=CONTROL, record=file), save_strategy="steps", save_steps=10)
    run(tmp_path / "later", follow(control=CONTROL, record=file), resume=tmp_path / "checkpoint-10")
    record = lr.Record.load(file)
    assert [record.schedule()(n) for n in range(UPDATES - 2)] == used.first == record.lrs.tolist()
    assert record.losses.tolist() == heard.losses
    assert record.gradient_norms.tolist() == [observation.gradient_norm for observation in heard.updates]


def test_the_log_shows_the_lr_of_each_update(straight):
    _, used, _, engine, _ = straight
    lrs = logged(engine)
    for value in used.first:
        assert lrs.pop(0) == value or lrs.pop(0) == value  # one that was left out is logged with its LR too


def test_nothing_is_left_in_the_trainer(straight):
    _, _, heard, engine, _ = straight
    assert "training_step" not in vars(engine)
    assert "clip_grad_norm_" not in vars(engine.accelerator)
    assert heard.closed == 1


class Own(Quiet):
    """A loss of its own, which the outputs of the model do not have."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        outputs = model(**inputs)
        loss = outputs["loss"] + outputs["logits"].square().mean()
        return (loss, outputs) if return_outputs else loss


def squared(outputs, labels, num_items_in_batch=None):
    return outputs["logits"].square().sum() / num_items_in_batch


LOSSES = {
    "the model's": {},
    "accumulated": {"gradient_accumulation_steps": 3, "data": sentences(26)},
    "smoothed": {"label_smoothing_factor": 0.1, "gradient_accumulation_steps": 2},
    "a subclass's": {"kind": Own, "gradient_accumulation_steps": 2},
    "a function's": {"options": {"compute_loss_func": squared}, "gradient_accumulation_steps": 2},
    "bf16": {"bf16": True, "gradient_accumulation_steps": 2},
}


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_is_the_one_that_is_trained_with(tmp_path, name):
    callback = follow(lr.constant(0.01), control=halve_when_stalled(100))
    acts = Acts(callback)
    engine = trainer(tmp_path, callback, acts, **{"max_steps": 4, "model": language_model(), **LOSSES[name]})
    engine.train()
    assert acts.heard.losses == pytest.approx(logged(engine, "loss"), abs=1e-4)
    assert len(acts.heard.losses) == 4


@pytest.mark.parametrize("accumulated", [1, 3])
def test_the_loss_of_an_update_is_the_mean_over_its_examples_and_the_norm_the_one_before_clipping(tmp_path, accumulated):
    data = examples(44, bad=False)  # 11 micro-batches
    changes = {"max_steps": -1, "num_train_epochs": 1, "gradient_accumulation_steps": accumulated, "max_grad_norm": 0.5}
    _, _, heard, _ = run(tmp_path, by_hand=False, data=data, options={}, **changes)
    sizes = [4 * size for size in ([3, 3, 3, 2] if accumulated == 3 else [1] * 11)]
    assert len(heard.losses) == len(sizes)
    total = sum(loss * size for loss, size in zip(heard.losses, sizes, strict=True))
    assert total == pytest.approx(sum(example["labels"].item() for example in data), rel=1e-5)
    norms = [observation.gradient_norm for observation in heard.updates]
    assert norms == pytest.approx([3.0 * loss for loss in heard.losses], rel=1e-5)


class Overflows(Given):
    """Its loss is too large at some of its calls."""

    def __init__(self, skipped):
        super().__init__()
        self.skipped, self.calls = skipped, 0

    def forward(self, x, labels):
        self.calls += 1
        outputs = super().forward(x, labels)
        return {**outputs, "loss": outputs["loss"] * (math.inf if self.calls - 1 in self.skipped else 1.0)}


@pytest.mark.parametrize("optim", ["adamw_torch", "adamw_torch_fused"])
def test_updates_that_the_scaler_skips_are_not_observed(tmp_path, optim):
    callback = follow(lr.constant(0.01), control=halve_when_stalled(100))
    acts, model = Acts(callback), Overflows({2, 5})
    data = examples(bad=False)
    engine = trainer(tmp_path, callback, acts, model=model, data=data, max_steps=8, max_grad_norm=0.0, optim=optim)
    engine.accelerator.scaler = torch.amp.GradScaler("cpu")
    engine.train()
    assert [observation.update for observation in acts.heard.updates] == list(range(6))
    assert all(1 < loss < 2 for loss in acts.heard.losses)


def test_scores_count_from_the_next_update_on_and_a_controller_ends_the_run(tmp_path):
    callback = follow(lr.constant(0.01), control=[halve_when_stalled(1, score="eval_loss"), stop_after(5)])
    data = examples(8, bad=False)
    changes = {"eval_strategy": "steps", "eval_steps": 2, "options": {"eval_dataset": data}}
    _, used, heard, engine = run(tmp_path, callback, by_hand=False, data=examples(bad=False), **changes)
    assert used.first == [0.01] * 4 + [0.005]
    assert engine.state.global_step == 5
    assert [set(evaluation.metrics) for evaluation in heard.evaluations] == [{"eval_loss"}] * 2


@pytest.mark.parametrize(
    ("on_change", "expected"),
    [
        ("keep", lambda before, after, n: before),
        ("rebase", lambda before, after, n: before.rebase(n, 30)),
        ("new", lambda before, after, n: after),
    ],
)
def test_a_resumed_run_of_another_length_goes_on_as_the_user_says(straight, tmp_path, on_change, expected):
    through, used, _, _, folder = straight
    callback = follow(control=CONTROL, on_change=on_change)
    with pytest.warns(LearnrateWarning) as warned:
        resumed, later, _, _ = run(tmp_path, callback, resume=folder / "checkpoint-12", max_steps=30)
    assert any(issubclass(entry.category, OtherScheduleWarning) for entry in warned)
    schedule, n = resumed.control.schedule, 30 - 2 - len(later.first)
    assert used.first[:n] + later.first == [schedule(count) for count in range(28)]
    assert "replace" not in {event.kind for event in resumed.control.events}
    before, after = SCHEDULE.resolve(UPDATES), SCHEDULE.resolve(30)
    factor = through.control.schedule(n) / before(n)
    assert factor < 1
    assert later.first[0] == pytest.approx(factor * expected(before, after, n)(n))


def test_changes_by_hand_need_a_run_and_no_controller(tmp_path):
    callback = follow(lr.constant(0.01))
    with pytest.raises(ArgumentError, match="begun"):
        _ = callback.control
    with pytest.raises(ArgumentError, match="way"):
        callback.scale(0.5)

    class Halves(TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            if state.global_step == 2:
                callback.scale(0.5)

    used = Used()
    trainer(tmp_path, callback, Halves(), used, max_steps=5).train()
    assert used.first == [0.01] * 3 + [0.005] * 2
    assert callback.control.schedule == lr.constant(0.01) * lr.piecewise_constant((1.0, 0.5), (3,))


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"control": 3}, ArgumentTypeError, "controller"),
        ({"control": [halve_when_stalled]}, ArgumentTypeError, r"halve_when_stalled\(\.\.\.\)"),
        ({"record": 3}, ArgumentTypeError, "record"),
        ({"page": 8080}, ArgumentTypeError, "page"),
    ],
)
def test_wrong_arguments_are_refused_at_once(options, error, words):
    with pytest.raises(error, match=words):
        follow(**options)


def test_a_callback_that_no_trainer_calls_cannot_react(straight):
    _, _, _, engine, _ = straight
    callback = follow(control=CONTROL)
    with pytest.raises(ArgumentError, match=r"transformers\.Trainer"):
        callback.on_train_begin(
            engine.args, engine.state, engine.control, optimizer=engine.optimizer, lr_scheduler=engine.lr_scheduler
        )
    lr.torch.attach(engine.optimizer.optimizer, momentum=lr.constant(0.5)).detach()
