"""The contract: what counts as a trainable, as a metric and as an evaluation."""

import math

import numpy as np
import pytest
import torch

from facts import facts
from learnrate.errors import LossError
from learnrate.trainable import (
    MEMBERS,
    NotBatchableError,
    OptimizerTraits,
    Reading,
    Step,
    Trainable,
    first_finite,
    require_trainable,
    scalar,
    scalars,
    scores,
)


class Smallest(Trainable):
    def update(self, lr):
        return 1.0

    def save(self):
        return None

    def restore(self, state):
        pass


def test_the_defaults_suit_one_process_with_plain_losses():
    trainable = Smallest()
    require_trainable("trainable", trainable)
    assert trainable.read([1, {"loss": 2, "accuracy": 0.5}]) == [{"loss": 1.0}, {"loss": 2.0, "accuracy": 0.5}]
    assert trainable.agree("stop") == "stop"
    assert (trainable.evaluate(), trainable.updates_per_epoch(), trainable.current_lr()) == (None, None, None)
    assert tuple(trainable.notes(10)) == ()
    with pytest.raises(NotBatchableError):
        trainable.ensemble(2)


def test_every_public_method_of_the_contract_is_required():
    methods = {name for name, value in vars(Trainable).items() if callable(value) and not name.startswith("_")}
    assert set(MEMBERS) == methods


def test_a_class_and_an_object_without_members_are_refused():
    with pytest.raises(TypeError, match=facts("trainable", "class", "Smallest()")):
        require_trainable("trainable", Smallest)
    with pytest.raises(TypeError, match=facts("trainable", "without", "save", "restore", "learnrate.Trainable")):
        require_trainable("trainable", object())


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (lambda: OptimizerTraits(math.nan), ValueError, ("lr_drift", "finite", "nan")),
        (lambda: OptimizerTraits(2.0), ValueError, ("lr_drift", -1, 1, 2.0)),
        (lambda: OptimizerTraits("up"), TypeError, ("lr_drift", "number", "'up'")),
        (lambda: OptimizerTraits(0.0, "yes"), TypeError, ("unbounded_steps", True, False, "'yes'")),
        (lambda: Reading(0), ValueError, ("every", 1, 0)),
        (lambda: Reading(within=-1.0), ValueError, ("within", 0, -1.0)),
        (lambda: Reading(within=math.nan), ValueError, ("within", "nan")),
    ],
)
def test_traits_and_reading_are_checked_when_they_are_built(build, error, words):
    with pytest.raises(error, match=facts(*words)):
        build()


@pytest.mark.parametrize("member", ["traits", "reading"])
def test_members_of_the_wrong_type_are_refused(member):
    trainable = Smallest()
    setattr(trainable, member, 0.5)
    with pytest.raises(TypeError, match=facts(f"trainable.{member}", 0.5)):
        require_trainable("trainable", trainable)


@pytest.mark.parametrize("member", ["update", "save", "restore"])
def test_a_subclass_must_write_what_has_no_default(member):
    class Incomplete(Smallest):
        pass

    setattr(Incomplete, member, getattr(Trainable, member))
    with pytest.raises(TypeError, match=facts("trainable", "without", member)):
        require_trainable("trainable", Incomplete())


def test_an_evaluation_that_is_no_number_is_refused_in_one_line():
    with pytest.raises(TypeError, match=facts("evaluate", "number", "(64, 1)")) as caught:
        scores(torch.zeros(64, 1))
    assert "\n" not in str(caught.value)


def test_a_function_is_a_trainable_without_state():
    step = Step(lambda lr: lr * 2)
    require_trainable("trainable", step)
    assert (step.update(0.5), step.save()) == (1.0, None)


@pytest.mark.parametrize("value", [1, 1.0, np.float32(1), np.ones((1, 1)), torch.ones(1), torch.tensor(1.0)])
def test_scalars_of_any_library_become_floats(value):
    assert scalar("loss", value) == 1.0
    assert scalars(value) == {"loss": 1.0}


@pytest.mark.parametrize("value", [None, "1.0", b"1", [1.0], np.ones(2), torch.ones(2), object()])
def test_values_that_are_not_scalars_are_refused(value):
    with pytest.raises(LossError, match="loss"):
        scalars({"loss": value})


def test_a_mapping_needs_a_loss():
    with pytest.raises(LossError, match=facts("'loss'", "'cost'")):
        scalars({"cost": 1.0})


def test_evaluations_become_floats_by_name():
    assert scores(None) == {}
    assert scores(0.5) == {"score": 0.5}
    assert scores(0.5, "accuracy") == {"accuracy": 0.5}
    assert list(scores({"recall": 0.5, "accuracy": torch.tensor(1)}).items()) == [("recall", 0.5), ("accuracy", 1.0)]
    for evaluation in ("good", {}, {"recall": "good"}, [0.5]):
        with pytest.raises(TypeError, match=facts("evaluate", "number", "mapping")):
            scores(evaluation)


@pytest.mark.parametrize(
    ("evaluation", "expected"), [({}, None), ({"a": math.nan, "b": 1.0}, None), ({"a": 2.0, "b": 1.0}, 2.0)]
)
def test_the_first_number_decides_if_it_is_finite(evaluation, expected):
    assert first_finite(evaluation) == expected
