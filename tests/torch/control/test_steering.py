"""Control of torch's optimizers: what attach and Scheduler observe, leave out and follow, in every loop that torch allows."""

import copy
import io
import math
import pickle
import random

import pytest
import torch

import learnrate as lr
from controllers import Heard, fail_at, halve_when_stalled, skip_not_finite, stop_after
from learnrate.control import Cooldown, Undo, composed
from learnrate.errors import ArgumentError, ArgumentTypeError, LossError, OtherScheduleWarning
from wrapped import SAM, Lookahead

UPDATES = 60
SCHEDULE = lr.warmup(0.1, 10) >> lr.one_cycle(0.4, 50)
CONTROL = {"plateau": halve_when_stalled(4), "guard": skip_not_finite()}
WAYS = ["attach", "Scheduler"]


class Run:
    """A loop as users write it, over losses that the test decides, and the LRs that updates of the weights really used."""

    def __init__(self, way="attach", schedule=SCHEDULE, optimizer=None, **options):
        self.parameters = [torch.nn.Parameter(torch.ones(1)) for _ in range(2)]
        self.optimizer = optimizer or torch.optim.SGD(self.parameters, lr=0.1, momentum=0.5)
        self.way, self.used, self.heard, self.calls = way, [], Heard(), 0
        if way == "attach":
            self.driver = lr.torch.attach(self.optimizer, schedule, **options)
        else:
            self.driver = lr.torch.Scheduler(self.optimizer, schedule, **options)
        self.driver.control.listeners.append(self.heard)
        self._look()

    def _look(self):
        before = []
        self.optimizer.register_step_pre_hook(lambda o, *_: before.append([float(group["lr"]) for group in o.param_groups]))

        def after(optimizer, args, kwargs):
            lrs = before.pop()
            if any(p.grad is not None for group in optimizer.param_groups for p in group["params"]):
                self.used.append(lrs)

        self.optimizer.register_step_post_hook(after)

    def step(self, *losses, observe=True, metrics=None):
        for loss in losses:
            for parameter in self.optimizer.param_groups[0]["params"]:
                (parameter * loss).sum().backward()
            if observe:
                self.driver.observe(torch.tensor(loss))
        self.optimizer.step()
        if self.way == "Scheduler":
            self.driver.step()
        if metrics:
            self.driver.observe(**metrics)
        self.optimizer.zero_grad()
        self.calls += 1

    @property
    def first(self):
        return [row[0] for row in self.used]

    def follows_its_schedule(self):
        return self.first == [self.driver.control.schedule(n) for n in range(len(self.used))]


def loss_at(call):
    """A loss that falls, stalls twice, and is not finite now and then."""
    if call % 13 == 7:
        return math.nan if call % 2 else math.inf
    return max(2.0 - 0.05 * call, 1.4) if call < 40 else 1.0


def drive(run, until):
    """The calls of a run up to one of them: some with a change by hand."""
    while run.calls < until:
        if run.calls == 20:
            run.driver.scale(0.5, "because")
        if run.calls == 31:
            run.driver.control.request(Undo())
        run.step(loss_at(run.calls))
    return run


@pytest.mark.shows("torch", "control")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", range(3))
def test_a_run_that_is_resumed_uses_the_lrs_of_the_run_through(way, seed):
    through = drive(Run(way, control=CONTROL), UPDATES)
    at = random.Random(seed).randrange(2, UPDATES)
    stopped, file = drive(Run(way, control=CONTROL), at), io.BytesIO()
    torch.save(stopped.driver.state_dict(), file)
    file.seek(0)
    resumed = Run(way, control=CONTROL)
    resumed.driver.load_state_dict(torch.load(file, weights_only=True))
    resumed.calls = at
    drive(resumed, UPDATES)
    assert stopped.used + resumed.used == through.used
    assert through.driver.control.schedule == resumed.driver.control.schedule
    assert through.follows_its_schedule()
    kinds = [event.kind for event in through.driver.control.events]
    assert kinds.count("skip") == 5
    assert len(through.used) == UPDATES - 5
    assert {"scale", "undo"} < set(kinds)
    assert next(event.factor for event in through.driver.control.events if event.who == "plateau") == 0.5


@pytest.mark.parametrize("way", WAYS)
def test_an_update_that_is_left_out_changes_nothing(way):
    run = Run(way, control=CONTROL)
    run.step(1.0)
    before = copy.deepcopy((run.optimizer.state_dict()["state"], [p.tolist() for p in run.parameters]))
    count = run.driver.state_dict()
    run.step(math.nan)
    assert str((run.optimizer.state_dict()["state"], [p.tolist() for p in run.parameters])) == str(before)
    key = "updates" if way == "attach" else "last_epoch"
    assert run.driver.state_dict()[key] == count[key] == 1
    run.step(1.0)
    assert run.first == [SCHEDULE(0), SCHEDULE(1)]
    assert [observation.update for observation in run.heard.updates] == [0, 1]  # one that is left out is an event


@pytest.mark.parametrize("way", WAYS)
def test_the_loss_of_an_update_is_the_mean_of_its_micro_batches(way):
    run = Run(way, control=CONTROL)
    run.step(1.0, 2.0, 6.0)
    run.step(5.0)
    assert run.heard.losses == [3.0, 5.0]
    run.step(1.0, math.nan, 2.0)  # the gradient is not finite either
    assert [event.kind for event in run.driver.control.events] == ["skip"]


@pytest.mark.parametrize("way", WAYS)
def test_the_loss_of_an_update_that_a_scaler_skipped_is_not_one_of_the_next_update(way):
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    run = Run(way, control=halve_when_stalled())
    for loss in (1.0, math.inf, 3.0):
        scaler.scale((run.parameters[0] * loss).sum()).backward()
        run.driver.observe(loss)
        before = scaler.get_scale()
        scaler.step(run.optimizer)
        scaler.update()
        if way == "Scheduler" and scaler.get_scale() >= before:
            run.driver.step()
        run.optimizer.zero_grad()
    assert run.heard.losses == [1.0, 3.0]
    assert [observation.finite for observation in run.heard.updates] == [True, True]
    run.driver.observe(100.0)
    run.driver.forget()
    run.step(2.0)
    assert run.heard.losses[-1] == 2.0


def test_a_fused_optimizer_that_skips_an_update_is_not_observed():
    parameter = torch.nn.Parameter(torch.ones(1))
    run = Run(optimizer=torch.optim.SGD([parameter], lr=0.1, fused=True), control=CONTROL)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    for loss in (1.0, math.inf, 3.0):
        scaler.scale((parameter * loss).sum()).backward()
        run.driver.observe(loss)
        scaler.step(run.optimizer)
        scaler.update()
        run.optimizer.zero_grad()
    assert [(o.loss, o.gradient_norm) for o in run.heard.updates] == [(1.0, 1.0), (3.0, 3.0)]
    assert run.driver.control.events == []
    assert run.driver.updates == 2


@pytest.mark.parametrize("way", WAYS)
def test_several_groups_with_a_schedule_each_or_ratios(way):
    def groups():
        first, second = (torch.nn.Parameter(torch.ones(1)) for _ in range(2))
        return torch.optim.SGD([{"params": [first], "lr": 0.1}, {"params": [second], "lr": 0.01}])

    def work(schedule, **options):
        run = Run(way, schedule, groups(), control=halve_when_stalled(2), **options)
        run.driver.scale(0.5)
        for _ in range(4):
            run.step(1.0)
        run.driver.control.request(Cooldown(4))
        for _ in range(4):
            run.step(1.0)
        return run

    schedules = lr.linear(1.0, 0.0, 10), lr.constant(0.25)
    run = work(schedules)
    assert run.used == [[schedule(n) for schedule in run.driver.control.schedule] for n in range(8)]
    assert run.used[3] == [0.7 * 0.25, 0.25 * 0.25]  # by hand from update 1 on, by the controller from update 3 on
    state = run.driver.state_dict()
    again = Run(way, schedules, groups(), control=halve_when_stalled(2))
    again.driver.load_state_dict(state)
    assert again.driver.control.schedule == run.driver.control.schedule
    run = work(lr.linear(1.0, 0.0, 10), relative=True)
    assert run.first == [run.driver.control.schedule(n) for n in range(8)]
    assert [row[1] for row in run.used] == pytest.approx([value * 0.1 for value in run.first])


def test_the_loss_of_a_closure_is_that_of_its_update_and_it_may_be_left_out():
    for way in WAYS:
        run = Run(way, control=CONTROL)
        losses = iter([1.0, math.nan, 2.0])

        def closure(run=run, losses=losses):
            run.optimizer.zero_grad()
            loss = (run.parameters[0] * next(losses)).sum()
            loss.backward()
            run.driver.observe(loss)
            return loss

        for keyword in (False, True, False):
            run.optimizer.step(closure=closure) if keyword else run.optimizer.step(closure)
            if way == "Scheduler":
                run.driver.step()
        # The second weight is 1 - 0.01 * 1.0, where the loss of the third batch is 2.0.
        assert run.heard.losses == pytest.approx([1.0, 2.0 * (1.0 - SCHEDULE(0))])
        assert [event.kind for event in run.driver.control.events] == ["skip"]
        assert run.first == [SCHEDULE(0), SCHEDULE(1)]


def test_lbfgs_makes_one_observation_an_update_however_often_it_evaluates():
    target = torch.tensor([3.0, -1.0])
    parameter = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.LBFGS([parameter], max_iter=5)
    run = Run(optimizer=optimizer, schedule=lr.constant(0.5), control=CONTROL)
    calls = []

    def closure():
        optimizer.zero_grad()
        loss = ((parameter - target) ** 2).sum()
        loss.backward()
        run.driver.observe(loss)
        calls.append(float(loss.detach()))
        return loss

    firsts = []
    for _ in range(3):
        firsts.append(len(calls))
        optimizer.step(closure)
    assert len(calls) > 6
    assert run.heard.losses == [calls[place] for place in firsts]


class Calls(torch.optim.SGD):
    """Its step calls the one of its base class, which runs the hooks too."""

    def step(self, closure=None):
        return super().step(closure)


def test_steps_inside_steps_are_one_update():
    parameters = [torch.nn.Parameter(torch.ones(1))]
    run = Run(optimizer=Calls(parameters, lr=0.1), control={**CONTROL, "stop": stop_after(100)})
    for loss in (1.0, math.nan, 2.0):
        run.step(loss)
    assert run.heard.losses == [1.0, 2.0]
    assert run.driver.updates == 2
    assert run.driver.control.states["stop"].updates == 3


@pytest.mark.parametrize("way", WAYS)
def test_wrapped_optimizers(way):
    parameters = [torch.nn.Parameter(torch.ones(1))]
    inner = torch.optim.SGD(parameters, lr=0.1)
    outer = Lookahead(inner)
    driver = lr.torch.attach(outer, SCHEDULE, control=CONTROL) if way == "attach" else None
    driver = driver or lr.torch.Scheduler(outer, SCHEDULE, control=CONTROL)
    heard = Heard()
    driver.control.listeners.append(heard)
    for loss in (1.0, math.nan, 2.0):
        (parameters[0] * loss).sum().backward()
        driver.observe(loss)
        outer.step()
        outer.zero_grad()
        if way == "Scheduler":
            driver.step()
    assert heard.losses == [1.0, 2.0]
    assert [event.kind for event in driver.control.events] == ["skip"]


def test_an_update_of_sam_is_observed_once_by_its_second_step():
    parameters = [torch.nn.Parameter(torch.ones(1))]
    optimizer = SAM(parameters, torch.optim.SGD, lr=0.1)
    attachment = lr.torch.attach(optimizer, SCHEDULE, control=CONTROL)
    heard = Heard()
    attachment.control.listeners.append(heard)
    for loss in (1.0, math.nan, 2.0):
        (parameters[0] * loss).sum().backward()
        attachment.observe(loss)
        optimizer.first_step(zero_grad=True)
        (parameters[0] * loss).sum().backward()
        optimizer.second_step(zero_grad=True)
    assert heard.losses == [1.0, 2.0]
    assert math.isfinite(parameters[0].item())


@pytest.mark.parametrize("way", WAYS)
def test_scores_count_from_the_next_update_on_and_in_a_checkpoint_before_it(way):
    def run():
        return Run(way, lr.constant(0.5), control=halve_when_stalled(1, score="val/loss"))

    first, second = run(), run()
    for score in (1.0, 2.0):
        first.step(1.0, metrics={"val/loss": score})
    assert [event.update for event in first.driver.control.events] == [2]
    second.driver.load_state_dict(first.driver.state_dict())
    for runner in (first, second):
        runner.step(1.0)
    assert first.first == [0.5, 0.5, 0.25]
    assert second.first == [0.25]
    assert [evaluation.metrics for evaluation in first.heard.evaluations] == [{"val/loss": 1.0}, {"val/loss": 2.0}]


def test_scores_between_the_step_of_the_optimizer_and_that_of_its_scheduler_change_no_lr_that_was_used():
    run = Run("Scheduler", lr.constant(0.5), control=halve_when_stalled(1, score="score"))
    for score in (1.0, 2.0, 3.0):
        run.parameters[0].grad = torch.ones(1)
        run.optimizer.step()
        run.driver.observe(score=score)
        state = run.driver.state_dict()  # what was decided is in it, although it is not applied yet
        run.driver.step()
    again = Run("Scheduler", lr.constant(0.5), control=halve_when_stalled(1, score="score"))
    again.driver.load_state_dict(state)
    again.driver.step()
    assert again.driver.control.factor == run.driver.control.factor == 0.25
    assert run.follows_its_schedule()


@pytest.mark.parametrize("way", WAYS)
def test_losses_that_are_never_observed_or_after_the_step_are_an_error(way):
    run = Run(way, control=halve_when_stalled())
    with pytest.raises(LossError, match=r"observe.*halve_when_stalled"):
        run.step(1.0, observe=False)
    run = Run(way)  # nothing reads them
    run.step(1.0, observe=False)
    assert run.heard.losses == [None]
    assert run.first == [SCHEDULE(0)]
    run = Run(way, control=stop_after(2))
    run.step(1.0, observe=False)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda d: d.observe("low"), LossError, "loss"),
        (lambda d: d.observe(torch.ones(2)), LossError, r"loss.*\(2,\)"),
        (lambda d: d.observe(accuracy=None), LossError, "accuracy"),
        (lambda d: d.observe(), ArgumentError, "none"),
        (lambda d: d.observe(1.0, gradient_norm="x"), LossError, "gradient_norm"),
        (lambda d: d.scale(0), ArgumentError, "factor"),
        (lambda d: d.scale(math.nan), ArgumentError, "factor"),
        (lambda d: d.scale("half"), ArgumentTypeError, "factor"),
        (lambda d: d.scale(1e9), ArgumentError, "factor"),
    ],
)
def test_wrong_values_are_refused_where_they_are_given(call, error, words):
    for way in WAYS:
        run = Run(way, control=CONTROL)
        with pytest.raises(error, match=words):
            call(run.driver)
        run.step(1.0)
        assert run.driver.control.events == []


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"control": halve_when_stalled}, ArgumentTypeError, r"control.*halve_when_stalled\(\.\.\.\)"),
        ({"control": [skip_not_finite(), 3]}, ArgumentTypeError, r"control\[1\]"),
        ({"control": {"by hand": skip_not_finite()}}, ArgumentError, "by hand"),
        ({"control": skip_not_finite(), "model": 3}, ArgumentTypeError, "model"),
        ({"record": 3}, ArgumentTypeError, "record"),
    ],
)
def test_wrong_arguments_are_refused_and_nothing_is_attached(options, error, words):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    for make in (lr.torch.attach, lr.torch.Scheduler):
        with pytest.raises(error, match=words):
            make(optimizer, SCHEDULE, **options)
    with pytest.raises(ArgumentError, match="lr"):
        lr.torch.attach(optimizer, momentum=lr.constant(0.5), control=skip_not_finite())
    lr.torch.attach(optimizer, SCHEDULE).detach()  # refused if something drove it


def test_a_range_test_in_mid_run_is_not_observed(toy):
    for make in (lr.torch.attach, lr.torch.Scheduler):
        run = make(toy.optimizer, SCHEDULE, control=[halve_when_stalled(2), skip_not_finite(), stop_after(5)])
        heard = Heard()
        run.control.listeners.append(heard)
        toy.range_test(updates=20)
        assert heard.updates == []
        assert run.control.events == []
        assert not run.stopped
        run.detach()


@pytest.mark.parametrize("way", WAYS)
def test_copies_go_on_by_themselves(way):
    run = drive(Run(way, control=CONTROL), 25)
    for copied in (copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))):
        optimizer, driver = copied((run.optimizer, run.driver))
        assert driver.control is not run.driver.control
        assert driver.control.schedule == run.driver.control.schedule
        assert driver.control.states == run.driver.control.states
        heard = Heard()
        driver.control.listeners.append(heard)
        driver.observe(1.0)
        optimizer.param_groups[0]["params"][0].grad = torch.ones(1)
        optimizer.step()
        assert heard.losses == [1.0]
    assert len(run.heard.updates) == len(run.used)


@pytest.mark.parametrize("way", WAYS)
def test_after_detach_nothing_is_observed_and_changes_are_refused(way):
    run = drive(Run(way, control=CONTROL), 5)
    future = run.driver.control.request(Undo())
    run.driver.detach()
    assert isinstance(future.exception(), ArgumentError)
    assert run.heard.closed == 1
    count = len(run.heard.updates)
    run.parameters[0].grad = torch.full((1,), math.nan)
    run.optimizer.step()
    assert len(run.heard.updates) == count
    assert run.driver.control.events == []
    with pytest.raises(ArgumentError, match="ended"):
        run.driver.scale(0.5)
    with pytest.raises(ArgumentError, match="detached"):
        run.driver.observe(1.0)


@pytest.mark.parametrize("way", WAYS)
def test_a_controller_that_fails_is_heard_and_the_run_can_go_on(way):
    run = Run(way, control=fail_at(2))
    weights = []
    for _ in range(5):
        weights.append(run.parameters[0].item())
        try:
            run.step(1.0)
        except ZeroDivisionError:
            run.driver.control.controllers = {}
            run.optimizer.zero_grad()
    assert weights[2] == weights[3]  # no update was made
    assert run.first == [SCHEDULE(n) for n in range(4)]


def test_a_controller_or_a_person_ends_the_run_and_a_resumed_one_goes_on():
    run = Run(control=stop_after(3))
    while not run.driver.stopped:
        run.step(1.0)
    assert run.calls == 3
    resumed = Run()
    with pytest.warns(OtherScheduleWarning, match="controllers"):
        resumed.driver.load_state_dict(run.driver.state_dict())
    assert not resumed.driver.stopped
    resumed.driver.control.request(lr.control.Stop())
    resumed.step(1.0)
    assert resumed.driver.stopped


@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_goes_on_under_another_schedule_keeps_what_was_used_before(way):
    before, after = lr.constant(0.5), lr.constant(0.125)
    run = Run(way, before, control=halve_when_stalled(2))
    for _ in range(4):
        run.step(1.0)
    resumed = Run(way, after, control=halve_when_stalled(2))
    with pytest.warns(OtherScheduleWarning, match=r"0\.5.*0\.125"):
        resumed.driver.load_state_dict(run.driver.state_dict())
    for _ in range(2):
        resumed.step(1.0)
    used = run.first + resumed.first
    assert used == [0.5, 0.5, 0.5, 0.25, 0.0625, 0.03125]
    assert used == [resumed.driver.control.schedule(n) for n in range(6)]
    assert {event.who for event in resumed.driver.control.events} == {"halve_when_stalled"}
    # What listens was told at the beginning of the schedule that is given now; from this it knows what was used.
    events = [*resumed.heard.resumed[-1], *resumed.heard.events]
    assert used == [composed([after], events)[0](n) for n in range(6)]
    again = Run(way, after, control=halve_when_stalled(2))
    again.driver.load_state_dict(resumed.driver.state_dict())  # no warning
    assert again.driver.control.schedule == resumed.driver.control.schedule


def test_control_that_begins_in_mid_run_knows_what_was_followed_before():
    run = Run(schedule=lr.constant(0.5))
    run.step(1.0)
    state = {"updates": 7, "schedules": {"lr": "constant(0.25)"}}
    with pytest.warns(OtherScheduleWarning):
        run.driver.load_state_dict(state)
    assert [run.driver.control.schedule(n) for n in (0, 6, 7)] == [0.25, 0.25, 0.5]
    with pytest.raises((ArgumentError, ArgumentTypeError), match="control"):
        run.driver.load_state_dict({"updates": 3, "control": "x"})


def test_the_program_replaces_the_schedule_in_mid_run_and_the_rest_is_kept():
    for way in WAYS:
        run = Run(way, lr.constant(0.5), control=halve_when_stalled(2))
        for _ in range(4):
            run.step(1.0)
        run.driver.replace(lr.constant(0.125))
        for _ in range(2):
            run.step(1.0)
        assert run.first == [0.5, 0.5, 0.5, 0.25, 0.125, 0.125]
        assert run.follows_its_schedule()
        state = run.driver.state_dict()
        again = Run(way, lr.constant(0.125), control=halve_when_stalled(2))
        again.driver.load_state_dict(state)
        assert again.driver.control.schedule == run.driver.control.schedule


@pytest.mark.parametrize("way", WAYS)
def test_an_evaluation_just_after_a_resume_belongs_to_the_last_update(way, tmp_path):
    """Many loops evaluate first. In the record it must not look as if the run went back to update 0."""
    run = Run(way, control=halve_when_stalled(4), record=tmp_path / "run.sqlite")
    drive(run, 30)
    checkpoint = copy.deepcopy(run.driver.state_dict())
    run.driver.detach()
    again = Run(way, control=halve_when_stalled(4), record=tmp_path / "run.sqlite")
    again.driver.load_state_dict(checkpoint)
    again.driver.observe(accuracy=0.5)
    again.step(1.0)
    again.driver.detach()
    record = lr.Record.load(tmp_path / "run.sqlite")
    updates = len(run.used)
    assert record.updates.tolist() == list(range(updates + 1))
    assert record.metrics["accuracy"].updates.tolist() == [updates - 1]
    assert record.lrs.tolist() == [*run.first, again.first[0]]
    assert record.schedule()(record.updates).tolist() == record.lrs.tolist()


@pytest.mark.parametrize("way", WAYS)
def test_a_checkpoint_without_control_takes_what_happened_out_of_the_record(way, tmp_path):
    run = Run(way, record=tmp_path / "run.sqlite")
    for _ in range(20):
        run.step(1.0)
    state = {"updates": 10, "last_epoch": 10}
    run.driver.scale(0.5)
    run.step(1.0)
    run.step(1.0)
    run.driver.load_state_dict(state)
    for _ in range(20):
        run.step(1.0)
    run.driver.detach()
    record = lr.Record.load(tmp_path / "run.sqlite")
    assert record.lrs.tolist() == [*run.first[:10], *run.first[22:]]
    assert [record.schedule()(n) for n in range(30)] == record.lrs.tolist()


def test_a_rule_that_monitors_a_metric_needs_no_losses():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    attachment = lr.torch.attach(optimizer, lr.constant(0.1), control=lr.control.plateau.torch(patience=0, factor=0.5))
    for _ in range(3):
        optimizer.step()
        attachment.observe(accuracy=0.5)
    assert attachment.control.schedule(2) < 0.1
