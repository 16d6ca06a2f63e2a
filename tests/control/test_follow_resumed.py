"""A loop without a framework: the controllers of learnrate over it, with a record, resumed."""

import json
import math
import random

import pytest

import learnrate as lr
from learnrate.control import Follow, Undo, guard, plateau
from learnrate.errors import ArgumentError, ArgumentTypeError

SCHEDULE = lr.warmup(0.1, 20) >> lr.one_cycle(max_lr=0.1, length=380)
RANDOM = random.Random(0)
LOSSES = [1 + math.exp(-min(n, 100) / 30) + 0.02 * RANDOM.gauss(0, 1) for n in range(400)]
LOSSES[60] = LOSSES[300] = LOSSES[301] = LOSSES[302] = math.nan
LOSSES[200] = 500.0


def train(follow, losses, first=0):
    """The LRs that were used; of an update that was left out, when it was made."""
    used, kept = {}, []
    for number, loss in enumerate(losses, start=first):
        if number == 50:
            follow.scale(0.5)
        if number == 100:
            follow.control.request(Undo())
        update, used[follow.updates] = follow.updates, follow.lr
        follow.observe(loss)
        if follow.wants_snapshot:
            kept.append(update)
    used.pop(follow.updates, None)
    return used, kept


def following(path):
    return Follow(SCHEDULE, [plateau(40), guard(every=20, recovery=40)], record=path)


def test_warm_up_plateau_guard_and_hand_over_one_cycle_resumed_in_mid_run(tmp_path):
    with following(tmp_path / "through.sqlite") as through:
        used, kept = train(through, LOSSES)
    assert used == {n: through.schedule(n) for n in range(400 - 5)}
    acts = [(event.who, event.kind) for event in through.control.events]
    assert (acts.count(("guard", "skip")), acts.count(("guard", "rollback"))) == (4, 1)
    assert {("plateau", "scale"), ("guard", "scale"), ("by hand", "scale"), ("by hand", "undo")} < set(acts)
    assert set(kept) <= set(range(0, 400, 20))
    assert len(kept) > 15
    place, path = random.Random(8).randrange(35, 395), tmp_path / "run.sqlite"
    with following(path) as before:
        first, _ = train(before, LOSSES[:place])
        saved = json.dumps(before.state_dict())
    with following(path) as after:
        after.load_state_dict(json.loads(saved))
        later, _ = train(after, LOSSES[place:], place)
    assert first | later == used
    for file in (path, tmp_path / "through.sqlite"):
        assert {n: lr.Record.load(file).schedule()(n) for n in used} == used


def test_an_update_that_was_made_with_a_loss_that_is_not_finite_is_rolled_back():
    for applied in (False, True):
        follow = Follow(lr.constant(0.1), guard())
        for loss in LOSSES[:40]:
            follow.observe(loss, applied=applied)
        decision = follow.observe(math.nan, applied=applied)
        assert (decision.skip, decision.rollback) == (not applied, applied)
        assert (follow.updates, follow.wants_snapshot) == (40, False)


def test_wrong_use_is_refused():
    with pytest.raises(ArgumentTypeError, match="applied"):
        Follow(lr.constant(0.1)).observe(1.0, applied=1)
    with pytest.raises(ArgumentError, match="call of their own"):
        Follow(lr.constant(0.1)).observe(1.0, accuracy=0.5)
    with pytest.raises(ArgumentTypeError, match=r"plateau\(\.\.\.\)"):
        Follow(lr.constant(0.1), plateau)


def shape_of_my_own(n):
    return 0.05 + 0.0 * n


@pytest.mark.parametrize("function", [shape_of_my_own, lambda n: 0.05 + 0.0 * n], ids=["top level", "lambda"])
def test_a_schedule_with_a_function_that_the_program_set_in_mid_run(function):
    follow = lr.control.Follow(lr.constant(0.1))
    follow.observe(1.0)
    follow.control.replaced([lr.function(function)], 1)
    follow.observe(1.0)
    state = json.loads(json.dumps(follow.state_dict()))
    refused = lr.control.Follow(lr.constant(0.1))
    with pytest.raises(ArgumentError, match=r"(?s)function of the program.*begin the run that goes on with that schedule"):
        refused.load_state_dict(state)
    assert (refused.updates, refused.lr, refused.control.events) == (0, 0.1, [])
    resumed = lr.control.Follow(lr.function(function))  # the remedy that the error names
    resumed.load_state_dict(state)
    assert (resumed.updates, resumed.lr) == (2, follow.lr) == (2, 0.05)
