"""Schedules in a loop of Accelerate, in one process: the LR that was really used, resume, accumulation, skipped updates."""

import itertools
import random

import pytest
import torch

import learnrate as lr
from loops import Loop, accelerator, reset

pytestmark = pytest.mark.xdist_group("transformers")  # which imports Accelerate

UPDATES = 24
SCHEDULE = lr.warmup(0.1, "25%") >> lr.cosine(0.1, 0)
VALUES = [SCHEDULE.resolve(UPDATES)(n) for n in range(UPDATES)]


@pytest.fixture(autouse=True)
def settings_of_one_test():
    yield
    reset()


@pytest.mark.shows("accelerate", "schedule")
def test_the_optimizer_uses_the_schedule():
    loop = Loop()
    attachment = lr.accelerate.prepare(loop.accelerator, loop.optimizer, SCHEDULE, updates=UPDATES)
    loop.train(2)
    assert loop.used == VALUES
    assert attachment.updates == UPDATES


def test_an_optimizer_may_be_prepared_later():
    first = accelerator()
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    attachment = lr.accelerate.prepare(first, optimizer, "linear(1, 0)", updates=4)
    _, prepared = first.prepare(model, optimizer)
    used = []
    for _ in range(4):
        model(torch.ones(1, 1)).sum().backward()
        used.append(prepared.param_groups[0]["lr"])
        prepared.step()
    assert used == [1.0, 0.75, 0.5, 0.25]
    assert attachment.updates == 4


@pytest.mark.parametrize("unwrapped", [False, True])
def test_epochs_are_counted_by_the_prepared_loader(unwrapped):
    loop = Loop(examples=44, accumulate=2)  # 11 batches, 6 updates an epoch
    optimizer = loop.optimizer.optimizer if unwrapped else loop.optimizer
    schedule = lr.linear(0.1, 0.2, "1 epoch") >> lr.constant(0.05)
    lr.accelerate.prepare(loop.accelerator, optimizer, schedule, epochs=2, loader=loop.loader)
    loop.train(2)
    resolved = schedule.resolve(lr.Horizon(updates=12, updates_per_epoch=6))
    assert loop.used == [resolved(n) for n in range(12)]


@pytest.mark.shows("accelerate", "accumulation")
def test_accumulated_batches_make_one_update():
    loop = Loop(accumulate=3)
    attachment = lr.accelerate.prepare(loop.accelerator, loop.optimizer, SCHEDULE, updates=8)
    loop.train(2)
    assert loop.used == [SCHEDULE.resolve(8)(n) for n in range(8)]
    assert attachment.updates == 8


@pytest.mark.shows("accelerate", "skipped updates")
def test_updates_that_the_scaler_skips_do_not_count():
    for scheduled in ("attached", "prepared", "unprepared"):
        loop = scaled_loop()
        scheduler = None
        if scheduled == "attached":
            lr.accelerate.prepare(loop.accelerator, loop.optimizer, SCHEDULE, updates=UPDATES)
        else:
            scheduler = lr.accelerate.Scheduler(loop.accelerator, loop.optimizer, SCHEDULE.resolve(UPDATES))
            scheduler = loop.accelerator.prepare(scheduler) if scheduled == "prepared" else scheduler
        loop.train(2, scheduler, skipped=(3, 9))
        assert loop.used == VALUES[:-2], scheduled


def scaled_loop():
    """A loop with a gradient scaler, which Accelerate makes on accelerators only."""
    loop = Loop()
    loop.accelerator.scaler = torch.amp.GradScaler("cpu")
    inner = loop.optimizer.optimizer
    loop.optimizer = loop.accelerator.prepare_optimizer(inner)
    return loop


@pytest.mark.shows("accelerate", "resume")
@pytest.mark.parametrize("groups", [False, True])
def test_a_run_resumes_exactly_at_a_random_update(tmp_path, groups):
    update = random.Random(groups).randrange(1, UPDATES)

    def run(resume):
        loop = Loop(groups=groups)
        attachment = lr.accelerate.prepare(
            loop.accelerator, loop.optimizer, SCHEDULE, updates=UPDATES, relative=groups, momentum=lr.constant(0.5)
        )
        if resume:
            loop.accelerator.load_state(tmp_path)
            assert attachment.updates == update
            loop.train(2, until=UPDATES - update)
        else:
            loop.train(2, after=lambda n: loop.accelerator.save_state(tmp_path) if n == update else None)
        return loop

    straight, resumed = run(False), run(True)
    assert resumed.rows == straight.rows[update:]
    assert len(straight.rows[0]) == 1 + groups
    assert straight.optimizer.param_groups[0]["momentum"] == 0.5


@pytest.mark.parametrize(
    ("on_change", "expected"),
    [
        ("keep", lambda before, after: before),
        ("rebase", lambda before, after: before.rebase(12, 36)),
        ("new", lambda before, after: after),
    ],
)
def test_a_resumed_run_of_another_length_follows_what_on_change_says(tmp_path, on_change, expected):
    loop = Loop()
    lr.accelerate.prepare(loop.accelerator, loop.optimizer, SCHEDULE, updates=UPDATES)
    loop.train(1)
    loop.accelerator.save_state(tmp_path)
    loop = Loop()
    lr.accelerate.prepare(loop.accelerator, loop.optimizer, SCHEDULE, updates=36, on_change=on_change)
    with pytest.warns(lr.errors.OtherScheduleWarning) as warned:
        loop.accelerator.load_state(tmp_path)
    assert len(warned) == 1
    loop.train(1)
    goes_on = expected(SCHEDULE.resolve(UPDATES), SCHEDULE.resolve(36))
    assert loop.used == [goes_on(n) for n in range(12, 24)]
    loop = Loop()
    lr.accelerate.prepare(loop.accelerator, loop.optimizer, SCHEDULE, updates=36)
    with pytest.raises(lr.errors.ArgumentError, match="on_change"):
        loop.accelerator.load_state(tmp_path)


@pytest.mark.shows("accelerate", "two owners")
def test_two_owners_are_refused_or_named():
    loop = Loop()
    lr.accelerate.prepare(loop.accelerator, loop.optimizer, SCHEDULE, updates=UPDATES)
    for again in (loop.optimizer, loop.optimizer.optimizer):
        with pytest.raises(lr.errors.AlreadyDrivenError, match="Attachment"):
            lr.accelerate.prepare(loop.accelerator, again, SCHEDULE, updates=UPDATES)
        with pytest.raises(lr.errors.AlreadyDrivenError, match="Attachment"):
            lr.accelerate.Scheduler(loop.accelerator, again, lr.constant(0.1))
    assert len(loop.accelerator._custom_objects) == 1

    def write(n):
        loop.optimizer.param_groups[0]["lr"] = 7.0

    with pytest.warns(lr.errors.OverruledWarning, match="7"):
        loop.train(2, after=write)
    assert loop.used == VALUES
    loop = Loop()
    theirs = torch.optim.lr_scheduler.ConstantLR(loop.optimizer)
    with pytest.raises(lr.errors.AlreadyDrivenError, match="torch LRScheduler"):
        lr.accelerate.prepare(loop.accelerator, loop.optimizer, SCHEDULE, updates=UPDATES)
    assert theirs.optimizer is loop.optimizer


@pytest.mark.parametrize(
    ("prepared", "accumulate", "split_batches", "with_optimizer"),
    # Without a link to the optimizer Accelerate steps a prepared one with every batch, by its documentation.
    [
        case
        for case in itertools.product([True, False], [1, 2], [True, False], [True, False])
        if case[0::3] != (True, False) or case[1] == 1
    ],
)
def test_a_scheduler_counts_updates_prepared_or_not(prepared, accumulate, split_batches, with_optimizer):
    loop = Loop(accumulate=accumulate, split_batches=split_batches, step_scheduler_with_optimizer=with_optimizer)
    updates = UPDATES // accumulate
    scheduler = lr.accelerate.Scheduler(loop.accelerator, loop.optimizer, SCHEDULE.resolve(updates))
    loop.train(2, loop.accelerator.prepare(scheduler) if prepared else scheduler)
    assert loop.used == [SCHEDULE.resolve(updates)(n) for n in range(updates)]
    assert scheduler.last_epoch == updates


def test_a_prepared_scheduler_is_saved_and_loaded(tmp_path):
    def prepared():
        loop = Loop()
        scheduler = lr.accelerate.Scheduler(loop.accelerator, loop.optimizer, SCHEDULE.resolve(UPDATES))
        return loop, loop.accelerator.prepare(scheduler)

    loop, scheduler = prepared()
    loop.train(1, scheduler)
    loop.accelerator.save_state(tmp_path)
    loop, scheduler = prepared()
    loop.accelerator.load_state(tmp_path)
    loop.train(1, scheduler)
    assert loop.used == VALUES[12:]


def state_of(loop):
    """All that must be as it was."""
    numbers = torch.get_rng_state().tolist()
    weights = [p.detach().clone() for p in loop.model.parameters()]
    return numbers, [w.tolist() for w in weights], str(loop.optimizer.state_dict()), vars(loop.loader).get("iteration")


@pytest.mark.shows("accelerate", "range test")
@pytest.mark.parametrize("scaled", [False, True])
def test_a_range_test_in_place_gives_everything_back(scaled):
    loop = scaled_loop() if scaled else Loop(accumulate=2)
    attachment = lr.accelerate.prepare(loop.accelerator, loop.optimizer, SCHEDULE, updates=40)
    loop.train(1)
    before, rows = state_of(loop), len(loop.rows)
    parts = (loop.accelerator, loop.model, loop.optimizer, loop.loader, loop.loss)
    curve = lr.accelerate.range_test(*parts, updates=30)
    assert len(curve.losses) > 10
    assert len(loop.rows) > rows + 10
    assert state_of(loop) == before
    assert attachment.updates == rows
    assert loop.accelerator.gradient_state.active_dataloader is None
    del loop.rows[rows:]
    loop.train(1)
    assert loop.used == [SCHEDULE.resolve(40)(n) for n in range(2 * rows)]


def test_a_sweep_takes_the_first_epoch_whatever_was_iterated_before():
    """Accelerate counts the passes over a loader, and shuffles each of them otherwise."""
    losses = []
    for passes in (0, 1):
        loop = Loop(seedable=True)
        for _ in range(passes):
            list(loop.loader)
        parts = (loop.accelerator, loop.model, loop.optimizer, loop.loader, loop.loss)
        losses.append(lr.accelerate.range_test(*parts, updates=10, low=1e-9, high=2e-9).losses.tolist())
    assert losses[0] == pytest.approx(losses[1])


@pytest.mark.slow
@pytest.mark.shows("accelerate", "tune in place")
def test_tuning_in_place_leaves_the_run_that_follows_the_plan():
    def run(plan=None):
        loop = Loop(examples=256)
        if plan is None:
            parts = (loop.accelerator, loop.model, loop.optimizer, loop.loader, loop.loss)
            plan = lr.accelerate.tune(*parts, updates=256, budget="256 updates")
            del loop.rows[:]
        lr.accelerate.prepare(loop.accelerator, loop.optimizer, plan.schedule, relative=True)
        loop.train(4)
        return plan, loop

    plan, tuned = run()
    _, followed = run(plan)
    assert plan.spent <= 256
    assert tuned.used == followed.used == [plan.schedule(n) for n in range(256)]
    assert all(torch.equal(a, b) for a, b in zip(tuned.model.parameters(), followed.model.parameters(), strict=True))


@pytest.mark.shows("accelerate", "LR in its logs")
def test_accelerates_trackers_get_the_lr_that_was_used(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    loop = Loop(log_with="tensorboard", project_dir=tmp_path)
    loop.accelerator.init_trackers("run")
    lr.accelerate.prepare(loop.accelerator, loop.optimizer, SCHEDULE, updates=UPDATES)
    loop.train(2, after=lambda n: loop.accelerator.log({"lr": loop.used[-1]}, step=n))
    loop.accelerator.end_training()
    events = EventAccumulator(str(tmp_path / "run")).Reload()
    assert [event.value for event in events.Scalars("lr")] == pytest.approx(VALUES)


@pytest.mark.shows("accelerate", "config text")
def test_a_text_is_a_schedule():
    loop = Loop()
    lr.accelerate.prepare(loop.accelerator, loop.optimizer, repr(SCHEDULE), updates=UPDATES)
    loop.train(2)
    assert loop.used == VALUES


def test_what_was_detached_and_replaced_is_no_part_of_the_checkpoints(tmp_path):
    loop = Loop()
    lr.accelerate.prepare(loop.accelerator, loop.optimizer, SCHEDULE, updates=UPDATES).detach()
    attachment = lr.accelerate.prepare(loop.accelerator, loop.optimizer, SCHEDULE, updates=UPDATES)
    loop.train(1)
    updates = attachment.updates
    loop.accelerator.save_state(tmp_path)
    loop.train(1)
    loop.accelerator.load_state(tmp_path)
    assert attachment.updates == updates > 0


def test_wrong_arguments_are_refused_and_nothing_is_registered():
    loop = Loop()
    cases = [
        ((loop.model, loop.optimizer, SCHEDULE), {}, "accelerator"),
        ((loop.accelerator, "adam", lr.constant(1)), {}, "ptimizer"),
        ((loop.accelerator, loop.optimizer), {}, "none"),
        ((loop.accelerator, loop.optimizer, 0.1), {}, "schedule"),
        ((loop.accelerator, loop.optimizer, SCHEDULE), {}, "updates="),
        ((loop.accelerator, loop.optimizer, SCHEDULE), {"epochs": 2}, "loader"),
        ((loop.accelerator, loop.optimizer, SCHEDULE), {"epochs": float("nan"), "loader": loop.loader}, "epochs"),
        ((loop.accelerator, loop.optimizer, SCHEDULE), {"updates": 0}, "updates"),
        ((loop.accelerator, loop.optimizer, SCHEDULE), {"updates": 20, "on_change": "maybe"}, "on_change"),
        ((loop.accelerator, loop.optimizer, SCHEDULE), {"updates": 20, "relativ": True}, "relativ"),
        ((loop.accelerator, loop.optimizer, SCHEDULE), {"updates": 20, "start": -1}, "start"),
        ((loop.accelerator, loop.optimizer, lr.constant(1)), {"epochs": 1, "loader": iter(loop.loader)}, "length"),
        ((loop.accelerator, loop.optimizer, SCHEDULE), {"epochs": 2, "loader": loop.loader.dataset}, "examples"),
    ]
    for arguments, options, words in cases:
        with pytest.raises((lr.errors.ArgumentError, lr.errors.ArgumentTypeError), match=words):
            lr.accelerate.prepare(*arguments, **options)
    assert not loop.accelerator._custom_objects
    lr.torch.attach(loop.optimizer, lr.constant(1)).detach()
    with pytest.raises(lr.errors.ArgumentTypeError, match="accelerator"):
        lr.accelerate.tune(None, loop.model, loop.optimizer, loop.loader, loop.loss, updates=100)
    with pytest.raises(lr.errors.ArgumentTypeError, match="accelerator"):
        lr.accelerate.Scheduler(loop.model, loop.optimizer, lr.constant(1))
    assert accelerator() is not loop.accelerator
