"""Controllers as arms: they act during the trainings of a study, which go on from checkpoints as if nothing had happened."""

import math
import pickle
import random
from dataclasses import dataclass, replace
from types import MappingProxyType

import pytest

import learnrate as lr
from facts import facts
from killed import Killed
from learnrate.control import Action, Controller, guard, plateau
from learnrate.control.cooldown_now import Constant
from learnrate.study import train
from learnrate.study.running.checkpoint import CheckpointFile
from learnrate.trainable import SKIPPED, LeftOut, Reading


class Noisy(lr.Trainable):
    """A noisy parabola with data that go on after a rollback, and a batch at fault at some draws."""

    faulty = MappingProxyType({})

    def __init__(self, seed=0):
        self.random, self.weight, self.momentum, self.drawn, self.lrs = random.Random(seed), 5.0, 0.0, 0, []

    def update(self, rate):
        self.lrs.append(rate)
        noise = self.random.gauss(0, 0.1)
        self.drawn += 1
        loss = self.weight**2 + 1 + abs(noise)
        gradient = 2 * self.weight + noise
        if self.drawn in self.faulty:
            loss = gradient = self.faulty[self.drawn]
        self.momentum = 0.5 * self.momentum + gradient
        self.weight -= rate * self.momentum
        return {"loss": loss, "draw": self.drawn}

    def save(self):
        return self.snapshot()

    def snapshot(self):
        return self.weight, self.momentum

    def put_back(self, snapshot):
        self.weight, self.momentum = snapshot

    restore = put_back

    def checkpoint(self):
        return self.random.getstate(), self.weight, self.momentum, self.drawn

    def resume(self, checkpoint):
        state, self.weight, self.momentum, self.drawn = checkpoint
        self.random.setstate(state)

    def evaluate(self):
        return {"nearness": -abs(self.weight), "drawn": float(self.drawn)}


@dataclass(frozen=True)
class halve(Controller):
    """Halve the LR every `every` updates."""

    every: int = 10

    def init(self):
        return Constant()

    def update(self, state, observation):
        if observation.loss is None:
            return state, Action(0.5 ** (observation.update // self.every))
        return state, Action(0.5 ** (observation.update // self.every))


def test_a_controller_acts_and_the_record_has_the_schedule_that_was_really_used():
    trainable = Noisy()
    training = train(trainable, lr.linear(0.1, 0.05, 40), 0, 40, control=halve())
    used = lr.parse(training.schedule)
    assert trainable.lrs == [used(update) for update in range(40)]
    assert trainable.lrs[25] == lr.linear(0.1, 0.05, 40)(25) * 0.25
    assert training.updates == 40
    assert any("halve" in note for note in training.notes)


def test_a_control_that_never_acts_changes_nothing():
    plain, watched = (train(Noisy(), lr.cosine(0.1, 0, 60), 0, 60, control=control) for control in (None, guard()))
    assert replace(plain, seconds=0, times=()) == replace(watched, seconds=0, times=())


def faulty(draws, seed=0):
    return type("Faulty", (Noisy,), {"faulty": draws})(seed)


def test_a_batch_at_fault_is_left_out_as_if_it_had_never_been_drawn():
    trainable = faulty({50: math.nan, 70: 1e6})
    training = train(trainable, lr.constant(0.05), 0, 100, control=guard())
    assert trainable.drawn == 102  # the count of updates does not count the two
    assert training.updates == len(training.losses) == 100
    assert max(training.losses[20:]) < 2
    assert abs(trainable.weight) < 0.2
    assert training.schedule == repr(lr.constant(0.05))
    assert any("guard" in note and "left out (2 times)" in note for note in training.notes)


def test_losses_that_are_late_cost_a_rollback_and_the_batches_go_on():
    trainable = faulty({50: math.nan})
    training = train(trainable, lr.constant(0.05), 0, 100, control=guard(every=10, late=True))
    assert training.updates == 100
    assert trainable.drawn == 101
    assert math.isfinite(trainable.weight)
    assert abs(trainable.weight) < 0.5
    assert any("rollback" in note for note in training.notes)


def test_losses_on_a_device_are_late_unless_the_guard_says_otherwise():
    trainable = faulty({50: math.nan})
    trainable.reading = Reading(every=8, within=math.inf)
    assert any("rollback" in note for note in train(trainable, lr.constant(0.05), 0, 60, control=guard()).notes)


def test_a_guard_that_gives_up_ends_the_training_with_good_weights():
    trainable = faulty(dict.fromkeys(range(50, 1000), math.nan))
    training = train(trainable, lr.constant(0.05), 0, 100, control=guard(every=10))
    assert training.updates == 49
    assert math.isfinite(training.score)
    assert training.checkpoints[-1] == 49
    assert any("ended after 49 of 100" in note for note in training.notes)


@dataclass(frozen=True)
class stop(Controller):
    def init(self):
        return Constant()

    def update(self, state, observation):
        return state, Action(stop=observation.update == 49)


def test_the_loss_of_a_training_that_was_ended_is_the_mean_of_its_own_last_fifth():
    trainable = Noisy()
    trainable.evaluate = lambda: None
    training = train(trainable, lr.constant(0.05), 0, 100, control=stop())
    assert training.updates == 50
    assert training.score == pytest.approx(sum(training.losses[-10:]) / 10)


def test_evaluations_are_observed():
    trainable = Noisy()
    control = plateau(patience=4, monitor="drawn", mode="min")
    training = train(trainable, lr.constant(0.05), 0, 400, control=control, evaluate_every=2)
    assert trainable.lrs[-1] < 0.05  # what is watched rises all the time
    assert trainable.lrs == [lr.parse(training.schedule)(update) for update in range(400)]


def test_updates_that_a_scaler_skips_are_not_observed():
    class Skipping(Noisy):
        def update(self, rate):
            if self.random.random() < 0.2:
                return SKIPPED
            return super().update(rate)

    training = train(Skipping(), lr.constant(0.05), 0, 50, control=[halve(), guard()])
    assert training.updates == len(training.losses) == 50


def test_batches_that_a_training_leaves_out_itself_count_for_a_guard():
    class Checked(Noisy):
        def update(self, rate):
            self.drawn += 1
            return LeftOut(math.nan) if 20 <= self.drawn < 32 else super().update(rate)

    assert train(Checked(), lr.constant(0.05), 0, 50).updates < 50
    training = train(Checked(), lr.constant(0.05), 0, 50, control=guard())
    assert training.updates == 50
    assert any("rollback" in note for note in training.notes)


@dataclass(frozen=True)
class needs_norm(halve):
    needs_gradient_norm = True


@dataclass(frozen=True)
class skips(halve):
    def update(self, state, observation):
        return state, Action(skip=observation.update == 3)


class Bare(Noisy):
    snapshot = lr.Trainable.snapshot


@pytest.mark.parametrize(
    ("trainable", "control", "words"),
    [
        (Noisy, needs_norm(), ("needs_norm", "gradient", "measure_gradient_norm")),
        (Bare, guard(), ("guard", "snapshot", "put_back")),
        (Noisy, skips(), ("needs_snapshots", "True", "False")),
    ],
)
def test_what_a_training_cannot_give_is_refused(trainable, control, words):
    with pytest.raises(lr.errors.ArgumentError, match=facts(*words)):
        train(trainable(), lr.constant(0.1), 0, 10, control=control)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("chance", range(4))
def test_a_training_that_is_killed_goes_on_with_its_control_bit_for_bit(tmp_path, chance, late):
    draws = {90: math.nan, 130: 1e5, **dict.fromkeys(range(150, 154), 1e5)}
    control = [plateau(patience=20), guard(every=10, recovery=40, late=late)]
    whole, lrs = faulty(draws), []
    expected = train(whole, lr.constant(0.2), 0, 200, control=control, evaluate_every=10)
    numbers, trained = random.Random(chance), None
    while trained is None:
        trainable, end = faulty(draws), numbers.randrange(20, 120)
        file = CheckpointFile(tmp_path / "file", "identity", every=1e-9)
        update = trainable.update

        def killed(rate, update=update, trainable=trainable, end=end):
            if len(trainable.lrs) == end:
                raise Killed
            return update(rate)

        trainable.update = killed
        try:
            trained = train(trainable, lr.constant(0.2), 0, 200, control=control, evaluate_every=10, checkpoint=file)
        except Killed:
            kept = pickle.loads((tmp_path / "file").read_bytes())[2][3]  # the draws at the last checkpoint
            lrs = [*lrs[:kept], *trainable.lrs][:kept]
    assert [*lrs, *trainable.lrs] == whole.lrs
    assert any("rollback" in note for note in expected.notes)
    assert replace(trained, seconds=0, times=()) == replace(expected, seconds=0, times=())


def test_a_training_that_is_killed_just_after_its_end_was_decided_ends_there(tmp_path):
    def make():
        file = CheckpointFile(tmp_path / "file", "identity", every=1e-9)
        return train(Noisy(), lr.constant(0.05), 0, 100, control=stop(), checkpoint=file)

    assert (make().updates, make().updates) == (50, 50)


def test_controllers_are_arms_of_a_comparison():
    arms = {"plain": lr.constant(0.2), "halved": lr.Arm(lr.constant(0.2), control=halve(20))}
    comparison = lr.compare(arms, lr.Recipe(Noisy, updates=60), seeds=2)
    plain, halved = (comparison[name].trainings for name in arms)
    assert [training.first_loss for training in plain] == [training.first_loss for training in halved]
    assert plain[0].losses[:20] == halved[0].losses[:20]
    assert plain[0].losses[20:30] != halved[0].losses[20:30]
    assert lr.parse(halved[1].schedule)(45) == 0.05


def test_a_study_goes_on_with_the_same_controllers_alone(tmp_path):
    def compare(control):
        arm = lr.Arm(lr.constant(0.1), control=control)
        return lr.compare({"arm": arm}, lr.Recipe(Noisy, updates=20), seeds=1, study=tmp_path / "study.sqlite")

    assert compare(halve(5))["arm"].trainings == compare(halve(5))["arm"].trainings
    with pytest.raises(lr.errors.ArgumentError, match=facts("arm", "control", "halve")):
        compare(halve(6))


class Nameless(Controller):
    def init(self):
        return Constant()

    def update(self, state, observation):
        return state, Action()


@pytest.mark.parametrize(
    ("control", "words"),
    [
        (plateau, ("control", "plateau")),
        ("plateau", ("control",)),
        ([], ("control", "at least one")),
        (lr.control.by_hand(file="commands"), ("control", "people")),
        (Nameless(), ("Nameless", "frozen dataclass")),
    ],
)
def test_what_is_no_controller_is_refused_when_the_arm_is_made(control, words):
    with pytest.raises((lr.errors.ArgumentError, lr.errors.ArgumentTypeError), match=facts(*words)):
        lr.Arm(lr.constant(0.1), control=control)


def test_a_comparison_inside_of_torchrun_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(lr.errors.ArgumentError, match=facts("one process", 2, "torchrun")):
        lr.compare({"arm": lr.constant(0.1)}, lr.Recipe(Noisy, updates=20))
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert len(lr.compare({"arm": lr.constant(0.1)}, lr.Recipe(Noisy, updates=20), seeds=1)["arm"].trainings) == 1
