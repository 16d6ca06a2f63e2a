"""Follow and scheduler: the LR that the optimizer of a Trainer really used, in every run that a Trainer can make."""

import random

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR
from transformers import TrainerCallback

import learnrate as lr
from facts import tells
from trainers import Used, language_model, logged, sentences, trainer

pytestmark = [
    pytest.mark.xdist_group("transformers"),
    pytest.mark.slow,
    # Accelerate passes through a module, and says so.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

UPDATES = 12
SCHEDULE = lr.warmup(0.01, "25%") >> lr.cosine(0.01, 0)
VALUES = [SCHEDULE.resolve(UPDATES)(n) for n in range(UPDATES)]


def follow(schedule=SCHEDULE, **options):
    return lr.transformers.Follow(schedule, **{"report": lambda text: None, **options})


def used_by(folder, *callbacks, resume=None, **changes):
    """The LRs that a run really used, and its trainer."""
    used = Used()
    run = trainer(folder, *callbacks, used, **changes)
    run.train(resume_from_checkpoint=resume)
    return used, run


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A run with a checkpoint after every update."""
    folder = tmp_path_factory.mktemp("straight")
    texts = []
    used, run = used_by(folder, follow(report=texts.append), save_strategy="steps", save_steps=1)
    return used, run, folder, texts


@pytest.mark.shows("transformers", "schedule")
def test_the_optimizer_uses_the_schedule_resolved_by_the_trainers_count(straight):
    used, run, _, _ = straight
    assert used.first == VALUES
    assert [len(row) for row in used.rows] == [2] * UPDATES  # with and without weight decay
    assert all(first == second for first, second in used.rows)
    assert run.state.global_step == UPDATES


@pytest.mark.shows("transformers", "LR in its logs")
def test_the_trainer_logs_the_lr_that_was_used(straight):
    _, run, _, _ = straight
    assert logged(run) == VALUES


def test_what_was_set_and_what_is_set_is_reported_once(straight):
    _, _, _, texts = straight
    [text] = texts
    assert "LR 5e-05" in text
    assert "linear" in text
    assert repr(SCHEDULE.resolve(UPDATES)) in text


@pytest.mark.shows("transformers", "resume")
def test_a_run_resumes_exactly_at_a_random_update(straight, tmp_path):
    straight_used, straight_run, folder, _ = straight
    update = random.Random(16).randrange(1, UPDATES)
    used, run = used_by(tmp_path, follow(), resume=folder / f"checkpoint-{update}")
    assert used.first == straight_used.first[update:]
    assert logged(run) == VALUES
    for resumed, whole in zip(run.model.parameters(), straight_run.model.parameters(), strict=True):
        assert torch.equal(resumed, whole)


def test_the_trainers_own_restoring_of_callbacks_goes_on_too(straight, tmp_path):
    _, _, folder, _ = straight
    callback = follow("constant(0.5)")
    used, _ = used_by(tmp_path, callback, resume=folder / "checkpoint-7", restore_callback_states_from_checkpoint=True)
    assert callback.attachment is None
    assert used.first == VALUES[7:]


@pytest.mark.parametrize(
    ("on_change", "expected"),
    [
        ("keep", lambda before, after: before),
        ("rebase", lambda before, after: before.rebase(6, 18)),
        ("new", lambda before, after: after),
    ],
)
def test_a_resumed_run_of_another_length_follows_what_on_change_says(straight, tmp_path, on_change, expected):
    _, _, folder, _ = straight
    before, after = SCHEDULE.resolve(UPDATES), SCHEDULE.resolve(18)
    with pytest.warns(lr.errors.LearnrateWarning) as warned:
        used, _ = used_by(tmp_path, follow(on_change=on_change), resume=folder / "checkpoint-6", max_steps=18)
    assert any(issubclass(entry.category, lr.errors.OtherScheduleWarning) for entry in warned)
    assert used.first == [expected(before, after)(n) for n in range(6, 18)]


def test_a_resumed_run_of_another_length_is_an_error_by_default_and_leaves_nothing_behind(straight, tmp_path):
    _, _, folder, _ = straight
    callback = follow()
    run = trainer(tmp_path, callback, max_steps=18)
    with pytest.raises(lr.errors.ArgumentError, match="on_change"):
        run.train(resume_from_checkpoint=folder / "checkpoint-6")
    assert callback.attachment is None
    lr.torch.attach(run.optimizer.optimizer, momentum=lr.constant(0.8)).detach()
    assert "step" not in vars(run.lr_scheduler)


def test_a_callback_that_is_added_later_follows_too_and_a_shorter_run_keeps_its_schedule(straight, tmp_path):
    _, _, folder, _ = straight
    texts, used = [], Used()
    run = trainer(tmp_path, max_steps=9)
    run.add_callback(follow(report=texts.append, on_change="keep"))
    run.add_callback(used)
    with pytest.warns(lr.errors.LearnrateWarning) as warned:
        run.train(resume_from_checkpoint=folder / "checkpoint-7")
    assert [entry.category for entry in warned] == [lr.errors.OtherScheduleWarning]
    assert used.first == VALUES[7:9]
    assert "LambdaLR" in texts[0]


def test_a_second_train_starts_again(tmp_path):
    used, run = used_by(tmp_path, follow())
    run.train()
    assert used.first == 2 * VALUES


def test_a_run_ends_detached_and_the_trainers_scheduler_has_its_own_methods(straight):
    _, run, _, _ = straight
    assert not {"step", "get_last_lr", "state_dict"} & vars(run.lr_scheduler).keys()
    lr.torch.attach(run.optimizer.optimizer, momentum=lr.constant(0.8)).detach()
    with pytest.raises(lr.errors.AlreadyDrivenError, match="torch LRScheduler"):
        lr.torch.attach(run.optimizer, lr.constant(1.0))


class Fails(TrainerCallback):
    def __init__(self):
        self.failed = False

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 4 and not self.failed:
            self.failed = True
            raise KeyboardInterrupt


def test_a_run_that_was_interrupted_can_begin_again(tmp_path):
    used, fails = Used(), Fails()
    model = language_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.0)
    run = trainer(tmp_path, follow(), fails, used, model=model, optimizers=(optimizer, None))
    with pytest.raises(KeyboardInterrupt):
        run.train()
    used.rows.clear()
    run.train()
    assert used.first == VALUES
    # Another trainer takes the same optimizer over, while the first one still has its callback.
    fails.failed = False
    with pytest.raises(KeyboardInterrupt):
        run.train()
    used, _ = used_by(tmp_path, follow(), model=model, optimizers=(optimizer, None))
    assert used.first == VALUES


@pytest.mark.shows("transformers", "accumulation")
def test_accumulated_batches_make_one_update_and_epochs_are_counted_in_updates(tmp_path):
    data = sentences(26)  # 7 batches, 4 updates an epoch, the last one of a single batch
    schedule = lr.linear(0.01, 0.02, "1 epoch") >> lr.constant(0.005)
    used, run = used_by(
        tmp_path, follow(schedule), data=data, max_steps=-1, num_train_epochs=2, gradient_accumulation_steps=2
    )
    assert run.state.global_step == 8
    assert used.first == [schedule.resolve(lr.Horizon(updates=8, updates_per_epoch=4))(n) for n in range(8)]


class Overflows(torch.nn.Module):
    """A linear model whose loss is too large for float16 at some of its calls."""

    def __init__(self, skipped):
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.skipped, self.calls = torch.nn.Linear(2, 1), skipped, 0

    def forward(self, x, labels):
        self.calls += 1
        loss = ((self.linear(x)[:, 0] - labels) ** 2).mean()
        return {"loss": loss * (float("inf") if self.calls - 1 in self.skipped else 1.0)}


@pytest.mark.shows("transformers", "skipped updates")
@pytest.mark.parametrize("optim", ["adamw_torch", "adamw_torch_fused"])
def test_updates_that_the_scaler_skips_do_not_count(tmp_path, optim):
    x = torch.randn(32, 2, generator=torch.Generator().manual_seed(0))
    data = [{"x": row, "labels": row.sum()} for row in x]
    used, callback = Used(), follow(lr.linear(0.1, 0.0, 8))
    changes = {"max_steps": 8, "max_grad_norm": 0.0, "optim": optim}
    run = trainer(tmp_path, callback, used, model=Overflows({2, 5}), data=data, **changes)
    run.accelerator.scaler = torch.amp.GradScaler("cpu")  # Accelerate makes one on accelerators only
    run.train()
    of_each = [lr.linear(0.1, 0.0, 8)(n) for n in (0, 1, 2, 2, 3, 4, 4, 5)]
    assert logged(run) == of_each  # one that was skipped with the LR that it would have used
    if optim == "adamw_torch_fused":  # its step is called, and skips the update itself
        assert used.first == of_each
    else:
        assert used.first == [lr.linear(0.1, 0.0, 8)(n) for n in range(6)]


def test_a_run_with_skipped_updates_resumes_at_its_updates_and_not_at_the_trainers_steps(tmp_path):
    x = torch.randn(32, 2, generator=torch.Generator().manual_seed(0))
    data = [{"x": row, "labels": row.sum()} for row in x]

    def run_from(checkpoint, skipped):
        used = Used()
        changes = {"max_steps": 8, "max_grad_norm": 0.0, "optim": "adamw_torch", "save_strategy": "steps", "save_steps": 6}
        run = trainer(tmp_path, follow(lr.linear(0.1, 0.0, 8)), used, model=Overflows(skipped), data=data, **changes)
        run.accelerator.scaler = torch.amp.GradScaler("cpu")
        run.train(resume_from_checkpoint=checkpoint)
        return used

    straight = run_from(None, {2, 5})
    resumed = run_from(tmp_path / "checkpoint-6", set())
    assert resumed.first == straight.first[4:] == [lr.linear(0.1, 0.0, 8)(n) for n in (4, 5)]


class Writes(TrainerCallback):
    """Something else that writes the LR."""

    def on_step_begin(self, args, state, control, **kwargs):
        for group in kwargs["optimizer"].param_groups:
            group["lr"] = 0.5


@pytest.mark.shows("transformers", "two owners")
def test_something_else_that_writes_the_lr_is_named_and_overruled(tmp_path):
    with pytest.warns(lr.errors.OverruledWarning, match=r"0\.5"):
        used, _ = used_by(tmp_path, follow(), Writes())
    assert used.first == VALUES


def test_two_callbacks_for_one_optimizer_are_both_named(tmp_path):
    run = trainer(tmp_path, follow(), follow("constant(0.25)"))
    with pytest.raises(lr.errors.AlreadyDrivenError) as error:
        run.train()
    assert "warmup" in str(error.value)
    assert "0.25" in str(error.value)


def test_schedulers_that_react_to_evaluations_are_refused(tmp_path):
    changes = {"eval_strategy": "steps", "metric_for_best_model": "loss", "lr_scheduler_type": "reduce_lr_on_plateau"}
    run = trainer(tmp_path, follow(), options={"eval_dataset": sentences(4)}, **changes)
    with pytest.raises(lr.errors.AlreadyDrivenError, match="ReduceLROnPlateau"):
        run.train()


def test_a_scheduler_of_the_user_is_named_and_one_of_learnrate_is_refused(tmp_path):
    model = language_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.3)
    theirs = LambdaLR(optimizer, lambda n: 1 / (n + 1))
    texts = []
    used, _ = used_by(tmp_path, follow(report=texts.append), model=model, optimizers=(optimizer, theirs))
    assert used.first == VALUES
    assert "LambdaLR in optimizers" in texts[0]
    cycle = OneCycleLR(torch.optim.AdamW(model.parameters()), 0.3, total_steps=UPDATES)
    used_by(tmp_path, follow(report=texts.append), model=model, optimizers=(cycle.optimizer, cycle))
    assert tells(texts[1], "momentum", 0.95)  # which the user has not set, and which stays
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.3)
    ours = lr.transformers.scheduler(optimizer, lr.constant(0.1))
    with pytest.raises(lr.errors.AlreadyDrivenError, match="two"):
        trainer(tmp_path, follow(), model=model, optimizers=(optimizer, ours)).train()


def test_a_checkpoint_of_a_run_without_learnrate_is_taken_up_and_the_reverse(tmp_path):
    plain = trainer(tmp_path / "plain", save_strategy="steps", save_steps=5)
    plain.train()
    texts = []
    changes = {"save_strategy": "steps", "save_steps": 5}
    checkpoint = tmp_path / "plain" / "checkpoint-5"
    used, _ = used_by(tmp_path / "ours", follow(report=texts.append), resume=checkpoint, **changes)
    assert used.first == VALUES[5:]
    assert "step 5" in texts[0]
    used, run = used_by(tmp_path / "back", resume=tmp_path / "ours" / "checkpoint-10")
    assert run.lr_scheduler.last_epoch == UPDATES
    # The Trainer's own scheduler writes after an update, so that its first LR is the one in the checkpoint of the optimizer.
    assert used.first == [VALUES[10], 5e-5 / UPDATES]


def test_groups_keep_their_ratios_and_other_hyper_parameters_follow(tmp_path):
    model = language_model()
    names = {id(p) for p in model.transformer.wte.parameters()}
    groups = [
        {"params": [p for p in model.parameters() if id(p) in names], "lr": 0.01},
        {"params": [p for p in model.parameters() if id(p) not in names], "lr": 0.1},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.5)
    decay = Used("weight_decay")
    callback = follow("linear(1, 0)", relative=True, weight_decay="constant(0.25)", momentum=lr.constant(0.8))
    used, _ = used_by(tmp_path, callback, decay, model=model, optimizers=(optimizer, None))
    assert [row[1] for row in used.rows] == [lr.linear(1, 0, UPDATES)(n) for n in range(UPDATES)]
    assert [row[0] / row[1] for row in used.rows] == pytest.approx([0.1] * UPDATES)
    assert set(decay.first) == {0.25}
    assert {group["betas"][0] for group in optimizer.param_groups} == {0.8}


def test_a_model_most_of_which_is_frozen_trains(tmp_path):
    model = language_model()
    model.requires_grad_(False)
    adapter = model.transformer.h[0].mlp.c_fc
    adapter.requires_grad_(True)
    before = {name: p.clone() for name, p in model.named_parameters()}
    used, _ = used_by(tmp_path, follow(), model=model)
    assert used.first == VALUES
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {"transformer.h.0.mlp.c_fc.weight", "transformer.h.0.mlp.c_fc.bias"}


@pytest.mark.shows("transformers", "config text")
def test_a_text_is_a_schedule(tmp_path):
    used, _ = used_by(tmp_path, follow("warmup(0.01, '25%') >> cosine(0.01, 0)"))
    assert used.first == VALUES


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((0.1,), {}, "constant"),
        ((["linear(1, 0)", 3],), {}, "schedule"),
        (([],), {}, "none"),
        (("wurmup(1, 2)",), {}, "warmup"),
        ((lr.constant(1),), {"relative": 1}, "relative"),
        ((lr.constant(1),), {"on_change": "kep"}, "on_change"),
        ((lr.constant(1),), {"report": 3}, "report"),
        ((lr.constant(1),), {"weight_decay": None}, "weight_decay"),
    ],
)
def test_wrong_arguments_are_refused_at_once(arguments, options, words):
    with pytest.raises((lr.errors.ArgumentError, lr.errors.ArgumentTypeError), match=words):
        lr.transformers.Follow(*arguments, **options)


def test_misspelt_hyper_parameters_and_lengths_that_are_not_known_are_refused_before_training(tmp_path):
    run = trainer(tmp_path, follow(weight_decai=lr.constant(0.1)))
    with pytest.raises(lr.errors.ArgumentError, match="weight_decay"):
        run.train()
    run = trainer(tmp_path, follow(lr.constant(0.1, "1e6 tokens") >> lr.constant(0.2)))
    with pytest.raises(lr.errors.ArgumentError, match="tokens"):
        run.train()


def test_a_scheduler_in_optimizers_is_logged_and_resumes(tmp_path):
    def run_with(folder, schedule, resume=None, on_change="error", **changes):
        model = language_model()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1.0)
        scheduler = lr.transformers.scheduler(optimizer, schedule, updates=UPDATES, on_change=on_change)
        return used_by(folder, model=model, optimizers=(optimizer, scheduler), resume=resume, **changes)

    used, run = run_with(tmp_path / "a", SCHEDULE, save_strategy="steps", save_steps=5)
    assert used.first == logged(run) == VALUES
    checkpoint = tmp_path / "a" / "checkpoint-5"
    used, _ = run_with(tmp_path / "b", repr(SCHEDULE), resume=checkpoint)
    assert used.first == VALUES[5:]
    with pytest.raises(lr.errors.ArgumentError, match="on_change"):
        run_with(tmp_path / "c", "constant(0.5)", resume=checkpoint)
    with pytest.warns(lr.errors.OtherScheduleWarning):
        used, _ = run_with(tmp_path / "d", "constant(0.5)", resume=checkpoint, on_change="keep")
    assert used.first == VALUES[5:]


def test_a_scheduler_says_which_arguments_are_wrong():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    with pytest.raises(lr.errors.ArgumentError, match="updates"):
        lr.transformers.scheduler(optimizer, "warmup(0.1, '5%')")
    with pytest.raises(lr.errors.ArgumentTypeError, match="schedule"):
        lr.transformers.scheduler(optimizer, 0.1)
    with pytest.raises(lr.errors.ArgumentTypeError, match="Optimizer"):
        lr.transformers.scheduler("adam", lr.constant(0.1))
