"""Trainings by a trainer with a loop of its own, which go on from checkpoints of this trainer after an interruption."""

import json
import re
from functools import partial
from pathlib import Path

import pytest

import learnrate as lr
from facts import facts
from learnrate.trainer_runs import Ended

UPDATES = 12
SCHEDULE = f"linear(1, 2, {UPDATES})"


class Counting:
    """A trainer that counts. Its weight is the sum of all LRs, in checkpoints that are folders with two files.

    Args:
        stops: Numbers of updates after which Ctrl-C comes; below 0: while the checkpoint after this number is written.
        fails: Whether the checkpoint after this number of updates cannot be written.

    Attributes:
        begun: Numbers of updates at which its runs began.
        folders: The folders of its runs.
    """

    name, updates = "counting", UPDATES

    def __init__(self, stops=(), fails=lambda updates: False):
        self.stops, self.fails, self.begun, self.folders = list(stops), fails, [], []

    def fit(self, schedule, run, listener, control=None, checkpoints=None):
        self.folders.append(Path(run.folder))
        (self.folders[-1] / "of the user").touch()
        updates, weight = 0, 0.0
        if checkpoints is not None and checkpoints.last is not None:
            state = json.loads((Path(checkpoints.last) / "state.json").read_text())
            updates, weight = state["updates"], state["weight"]
        self.begun.append(updates)
        listener.began(str(weight))
        while updates < run.updates:
            weight, updates = weight + schedule(updates), updates + 1
            listener.updated(weight)
            self.stop(updates)
            if checkpoints is not None and checkpoints.is_due():
                checkpoints.write(str(updates), partial(self.save, updates, weight))
        listener.evaluated({"weight": weight})
        return Ended(repr(schedule), str(weight))

    def save(self, updates, weight, folder):
        path = Path(folder)
        path.mkdir()
        (path / "state.json").write_text(json.dumps({"updates": updates, "weight": weight}))
        self.stop(-updates)
        if self.fails(updates):
            raise RuntimeError(f"no room for number {updates}")
        (path / "more").write_text("of it")

    def stop(self, updates):
        if self.stops and self.stops[0] == updates:
            self.stops.pop(0)
            raise KeyboardInterrupt

    def choose(self, family, run, budget=None):
        raise NotImplementedError

    def trainable(self, seed, *, test=False):
        raise NotImplementedError


def compare(recipe, study=None):
    """The training of the comparison, with a checkpoint after each update."""
    comparison = lr.compare({"a": SCHEDULE}, recipe, study=study, seeds=1, checkpoint_every=1e-9)
    [training] = comparison["a"].trainings
    return training


def interrupted(recipe, study):
    with pytest.raises(KeyboardInterrupt):
        compare(recipe, study)
    [folder] = set(recipe.folders)
    return folder


def checkpoints(folder):
    return sorted(path.name for path in (folder / "learnrate").iterdir())


@pytest.mark.parametrize("study", ["study.sqlite", "study/"])
def test_a_training_goes_on_from_the_last_whole_checkpoint(tmp_path, study):
    recipe, study = Counting(stops=[5, -7, 9]), f"{tmp_path}/{study}"
    for left in (["4"], ["6", "7"], ["8"]):
        folder = interrupted(recipe, study)
        assert checkpoints(folder) == left
        assert (folder / "of the user").exists()
    training = compare(recipe, study)
    undisturbed = compare(Counting())
    assert recipe.begun == [0, 4, 6, 8]
    assert (training.losses, training.score, training.end) == (undisturbed.losses, undisturbed.score, undisturbed.end)
    assert not folder.exists()
    [note] = training.notes
    assert "8 updates" in note


@pytest.mark.parametrize("damage", [Path.unlink, lambda file: file.write_text("")])
@pytest.mark.parametrize("name", ["state.json", "more"])
def test_a_training_whose_checkpoint_is_not_complete_starts_again(tmp_path, name, damage):
    recipe = Counting(stops=[5])
    folder = interrupted(recipe, tmp_path / "study.sqlite")
    damage(folder / "learnrate" / "4" / name)
    training = compare(recipe, tmp_path / "study.sqlite")
    assert recipe.begun == [0, 0]
    assert training.updates == len(training.losses) == UPDATES
    [note] = training.notes
    assert "not complete" in note


def test_a_training_whose_trainer_cannot_read_its_checkpoint_starts_again(tmp_path):
    recipe = Counting(stops=[5])
    state = interrupted(recipe, tmp_path / "study.sqlite") / "learnrate" / "4" / "state.json"
    state.write_text("!" * state.stat().st_size)
    training = compare(recipe, tmp_path / "study.sqlite")
    assert recipe.begun == [0, 0]
    assert training.updates == len(training.losses) == UPDATES
    [note] = training.notes
    assert "JSONDecodeError" in note


def test_an_error_after_a_further_update_is_that_of_the_training(tmp_path):
    class Fails(Counting):
        def stop(self, updates):
            super().stop(updates)
            if self.begun == [0, 4] and updates == 6:
                raise RuntimeError("of the training")

    recipe = Fails(stops=[5])
    interrupted(recipe, tmp_path / "study.sqlite")
    comparison = lr.compare({"a": SCHEDULE}, recipe, study=tmp_path / "study.sqlite", seeds=1)
    assert "of the training" in comparison["a"].failures[0].error
    assert recipe.begun == [0, 4]


def test_checkpoints_that_cannot_be_written_do_not_end_the_training(tmp_path):
    recipe = Counting(stops=[8], fails=lambda updates: updates in (4, 5, 8, 9))
    assert checkpoints(interrupted(recipe, tmp_path / "study.sqlite")) == ["7"]
    training = compare(recipe, tmp_path / "study.sqlite")
    assert recipe.begun == [0, 7]
    assert re.search(facts("7 updates", "number 8"), " ".join(training.notes))
    assert len(training.notes) == 2


def test_a_study_may_be_moved_before_it_goes_on(tmp_path):
    recipe = Counting(stops=[5])
    (tmp_path / "old").mkdir()
    interrupted(recipe, tmp_path / "old" / "study.sqlite")
    (tmp_path / "old").rename(tmp_path / "new")
    compare(recipe, tmp_path / "new" / "study.sqlite")
    assert recipe.begun == [0, 4]
