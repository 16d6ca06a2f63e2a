"""Arms of one seed as one batch: the same curves as single trainings, and a word about what was not possible."""

import hashlib
import math
import sqlite3
from dataclasses import replace

import numpy as np
import pytest

import learnrate as lr
from facts import facts
from learnrate.trainable import NotBatchableError

ARMS = {"low": lr.constant(0.05), "high": "constant(0.3)", "cosine": "cosine(0.2, 0)"}


class Walk(lr.Trainable):
    """A weight in NumPy, with an ensemble of its own; the loss of a weight beyond 1e3 is infinite."""

    def __init__(self, seed, refuse_at=None):
        self.random, self.weight, self.refuse_at = np.random.default_rng(seed), 1.0, refuse_at

    def update(self, lr):
        loss = loss_of(self.weight)
        self.weight = moved(self.weight, lr, self.random.standard_normal())
        return loss

    def save(self):
        return self.weight, self.random.bit_generator.state

    def restore(self, state):
        self.weight, self.random.bit_generator.state = state

    checkpoint, resume = save, restore

    def evaluate(self):
        return {"nearness": -abs(self.weight), "weight": self.weight}

    def fingerprint(self):
        return hashlib.sha256(repr(self.weight).encode()).hexdigest()[:16]

    def ensemble(self, count):
        if self.refuse_at == 0:
            raise NotBatchableError("this model cannot be batched")
        return Walks(self, count)


class Walks:
    def __init__(self, walk, count):
        self.walk, self.weights, self.updates, self.ended = walk, [walk.weight] * count, 0, set()

    def update(self, lrs):
        self.updates += 1
        if self.updates == self.walk.refuse_at:
            raise NotBatchableError("this model cannot be batched any more")
        self.ended |= {number for number, lr in enumerate(lrs) if lr is None}
        noise = self.walk.random.standard_normal()
        losses = [loss_of(weight) for weight in self.weights]
        self.weights = [
            weight if lr is None else moved(weight, lr, noise) for weight, lr in zip(self.weights, lrs, strict=True)
        ]
        return [{} if number in self.ended else {"loss": loss} for number, loss in enumerate(losses)]

    def evaluate(self):
        return [
            None if number in self.ended else {"nearness": -abs(weight), "weight": weight}
            for number, weight in enumerate(self.weights)
        ]


def loss_of(weight):
    return abs(weight) if abs(weight) < 1e3 else math.inf


def moved(weight, lr, noise):
    return weight - lr * (weight + 0.1 * noise)


def walks(refuse_at=None):
    return lr.Recipe(lambda seed: Walk(seed, refuse_at), updates=60, name="walk")


def compare(recipe, batched=True, arms=ARMS, **options):
    return lr.compare(arms, recipe, batched=batched, **{"seeds": 3, "evaluate_every": 7, **options})


def facts_of(comparison):
    """All but the times, the notes, and the fingerprints at the end, which a batch does not have."""
    return {
        (arm.name, training.seed): replace(training, seconds=0.0, times=(), notes=(), end=None)
        for arm in comparison
        for training in arm.trainings
    }


def notes_of(comparison):
    return {(arm.name, training.seed): training.notes for arm in comparison for training in arm.trainings}


@pytest.mark.parametrize("study", [False, True])
def test_members_are_trained_as_by_themselves(study, tmp_path):
    file = tmp_path / "study.sqlite" if study else None
    together, alone = compare(walks(), study=file), compare(walks(), batched=False)
    assert facts_of(together) == facts_of(alone)
    for notes in notes_of(together).values():
        assert any("one batch with 2 other arms" in note for note in notes)
        assert any("no checkpoints" in note for note in notes) == study
    assert not any(notes_of(alone).values())
    assert [note for note in together.notes if "one batch" in note] == [
        note for note in together.notes if "trained as one batch" in note
    ]
    assert all(training.seconds > 0 and training.times for arm in together for training in arm.trainings)


def test_a_member_that_diverges_ends_alone():
    arms = {**ARMS, "too high": lr.constant(5.0), "far too high": lr.constant(500.0)}
    together, alone = compare(walks(), arms=arms), compare(walks(), batched=False, arms=arms)
    assert facts_of(together) == facts_of(alone)
    diverged = together["too high"].trainings[0]
    assert 0 < diverged.updates < 60
    assert diverged.losses[-1] == math.inf
    assert any(f"ended after {diverged.updates} of 60" in note for note in diverged.notes)
    assert together["low"].trainings[0].updates == 60


def test_a_batch_ends_when_all_members_have():
    arms = {"a": lr.constant(5.0), "b": lr.constant(6.0)}
    assert facts_of(compare(walks(), arms=arms)) == facts_of(compare(walks(), batched=False, arms=arms))


@pytest.mark.parametrize("refuse_at", [0, 1, 30])
def test_what_cannot_be_batched_is_trained_one_by_one_and_said(refuse_at, tmp_path):
    together = compare(walks(refuse_at), study=tmp_path / "study.sqlite")
    assert facts_of(together) == facts_of(compare(walks(), batched=False))
    assert len(together.seeds) == 3
    for notes in notes_of(together).values():
        assert [note for note in notes if "not trained as one batch" in note and "cannot be batched" in note]
    assert all(training.end for arm in together for training in arm.trainings)


def test_only_arms_that_differ_in_their_schedule_alone_are_batched():
    arms = {
        **ARMS,
        "longer": lr.study.Arm(lr.constant(0.1), updates=70),
        "other": lr.study.Arm(lr.constant(0.1), recipe=lr.Recipe(lambda seed: Walk(seed + 1), updates=60)),
    }
    notes = notes_of(compare(walks(), arms=arms))
    assert {name for (name, _), notes in notes.items() if any("one batch" in note for note in notes)} == set(ARMS)
    assert facts_of(compare(walks(), arms=arms)) == facts_of(compare(walks(), batched=False, arms=arms))


def test_a_failing_training_fails_for_each_member():
    def create(seed):
        if seed == 1:
            raise RuntimeError("no memory")
        return Walk(seed)

    comparison = compare(lr.Recipe(create, updates=60))
    assert all(len(arm.trainings) == 2 and "no memory" in arm.failures[1].error for arm in comparison)


@pytest.mark.slow
def test_batches_in_processes_give_the_same(tmp_path):
    together = compare(walks(), executor=2, study=tmp_path / "study.sqlite")
    assert facts_of(together) == facts_of(compare(walks(), batched=False))
    assert all(any("one batch" in note for note in notes) for notes in notes_of(together).values())


def test_batched_is_part_of_a_study(tmp_path):
    file = tmp_path / "study.sqlite"
    compare(walks(), study=file, batched=False, seeds=1)
    with pytest.raises(ValueError, match=facts("batched", "False", "study.sqlite")):
        compare(walks(), study=file, seeds=1)
    assert len(compare(walks(), study=file, batched=False, seeds=2).seeds) == 2


def test_an_interrupted_batch_starts_again(tmp_path):
    """At Ctrl-C, nothing of a batch is stored, and all of its runs are given back."""
    file = tmp_path / "study.sqlite"

    def stop(message):
        if message.key.seed == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(walks(), study=file, progress=stop)
    with sqlite3.connect(file) as connection:
        assert {seed for (seed,) in connection.execute("SELECT seed FROM runs")} == {0}
        assert not list(connection.execute("SELECT * FROM claims"))
    connection.close()
    assert facts_of(compare(walks(), study=file)) == facts_of(compare(walks(), batched=False))


def test_batched_must_be_a_truth_value():
    with pytest.raises(TypeError, match=facts("batched", "True or False", "yes")):
        compare(walks(), batched="yes")
