"""Control in Keras on its torch and JAX backends: these tests judge the facts of control_scenarios.py; see conftest.py."""

import math
from importlib.util import find_spec

import pytest

from facts import tells

pytestmark = [
    pytest.mark.xdist_group("keras"),
    pytest.mark.slow,
    pytest.mark.skipif(not find_spec("keras"), reason="no Keras"),
]


@pytest.mark.shows("keras", "control")
def test_controllers_and_a_person_compose_over_any_schedule(outcome):
    shown = outcome("composed_control")
    assert shown["schedule"] is True
    assert {(kind, who) for _, kind, who, _ in shown["events"]} == {
        ("scale", "plateau"),
        ("scale", "guard"),
        ("rollback", "guard"),
        ("scale", "by hand"),
        ("cooldown", "by hand"),
        ("undo", "by hand"),
        ("replace", "by hand"),
    }
    assert shown["asked"] == [6, 12, 14, 18]
    # Two actions at one update, and one that was asked for in between: the factor is the product of all of them.
    assert [5, "scale", "plateau", 0.5] in shown["events"]
    assert [6, "scale", "by hand", 0.25] in shown["events"]
    assert [9, "scale", "guard", 0.0625] in shown["events"]


def test_a_resumed_run_goes_on_with_its_controllers(outcome):
    shown = outcome("composed_control")
    assert len(shown["through"]) == 24
    assert shown["resumed"] == shown["through"]
    assert shown["resumed events"] == shown["events"]
    assert shown["resumed schedule"] is True
    assert shown["count"] == 24
    # Snapshots are not in a checkpoint: a run that is resumed just before a rollback goes back less far.
    if shown["stop"] not in range(5, 9):
        assert shown["same weights"] is True


def test_controllers_see_the_loss_of_each_batch_alone(outcome):
    shown = outcome("composed_control")
    assert shown["updates"] == [n for n in range(24) if n != 8]
    assert shown["losses"] == pytest.approx(shown["expected losses"], rel=1e-5)
    assert shown["observed lrs"] is True
    assert shown["closed"] == 1


def test_a_rollback_puts_the_last_good_snapshot_back_and_the_count_goes_on(outcome):
    weights = outcome("composed_control")["weights"]
    # Snapshots are from before updates 4 and 6, and the fault may have begun within the last 30 updates: the older one.
    assert weights[9] == weights[4]
    assert len({*weights[4:9]}) == 5


def test_an_update_is_all_its_batches(outcome):
    shown = outcome("accumulated_control")["accumulated"]
    assert shown["updates"] == [0, 1, 2, 3]
    assert shown["norms"] == [1.5, 3.5, 5.5, 7.5]  # before they are clipped to 0.5
    weights = shown["weights"][::2]
    expected = [weight * (4 * n + 3) / 2 for n, weight in enumerate(weights[:4])]
    assert shown["losses"] == pytest.approx(expected, rel=1e-6)


def test_the_norm_is_without_the_loss_scale_and_a_skipped_update_is_not_observed(outcome):
    shown = outcome("accumulated_control")["scaled"]
    assert shown["norms"] == [1, 2, 3, 5, 6, 7, 8]
    assert shown["updates"] == list(range(7))
    assert shown["weights"][4] == shown["weights"][3]


@pytest.mark.shows("keras", "record")
def test_a_listener_and_the_record_get_every_update_and_evaluation(outcome):
    shown = outcome("recorded")
    assert shown["updates"] == list(range(16))
    assert shown["losses"] == pytest.approx(shown["weights"][:16])
    assert shown["schedule"] is True
    assert shown["rows"] is True
    assert shown["record"] is True
    assert [update for update, _ in shown["evaluations"]] == [7, 15]
    assert [metrics["val_loss"] for _, metrics in shown["evaluations"]] == pytest.approx(shown["history"]["val_loss"])


def test_the_logs_have_the_lr_with_the_factors(outcome):
    shown = outcome("recorded")
    assert shown["history"]["learning_rate"] == [shown["lrs"][7], shown["lrs"][15]]


def test_nothing_is_compiled_again_for_an_action(both_backends):
    shown = both_backends["jax"]["recorded"]
    assert shown["compilations"] <= 3  # the shapes, the update, the evaluation
    assert shown["compilations of the second"] == 0


def test_blocks_of_batches_are_observed_update_by_update(both_backends):
    shown = both_backends["jax"]["recorded"]
    assert shown["blocks"] == [list(range(8)), True]
    used, summed = shown["of blocks"]
    assert used == pytest.approx(summed, abs=5e-7)


def test_a_second_fit_goes_on_and_a_person_may_end_it(outcome):
    shown = outcome("recorded")
    assert shown["second"] is True
    assert shown["stopped"] == 2
    assert tells(shown["between"], "ArgumentError", "fit")


def test_a_controller_ends_the_run(outcome):
    shown = outcome("stops")
    assert shown["at an update"] == 3
    assert shown["at an evaluation"] == 3


def test_an_aborted_fit_is_left_in_order(outcome):
    shown = outcome("stops")
    assert shown["weight"] is True
    assert shown["alone"] == pytest.approx([0.25] * 3)
    assert shown["again"] == pytest.approx([0.125] * 3)
    assert shown["closed"] == 1


def test_a_batch_at_fault_is_left_out(outcome):
    weights, [loss] = outcome("faults")["skipped"]
    assert weights[:6] == pytest.approx([-0.1 * n for n in range(6)])
    assert weights[6] == weights[5]
    assert weights[7:] == pytest.approx([-0.525, -0.55])  # at a quarter of the LR
    losses = [*weights[:5], *weights[6:8]]
    assert loss == pytest.approx(sum(losses) / 7)  # the metrics of the epoch are without it


def test_an_update_is_left_out_with_all_its_batches(outcome):
    weights = outcome("faults")["accumulated"]
    assert weights[::2] == pytest.approx([0, -0.1, -0.2, -0.2, -0.225])


def test_an_update_that_cannot_be_left_out_is_told_of(outcome, backend):
    shown = outcome("faults")
    weight, is_broken = shown["stays"]
    assert weight == pytest.approx(-0.5)
    if backend == "torch":  # where the loss is seen before the update is made
        assert is_broken is False
        assert shown["warnings"] == []
    else:
        assert is_broken is True
        [text] = shown["warnings"]
        assert tells(text, "OverruledWarning", 5, "needs_snapshots")


def test_a_second_owner_is_noticed_beside_a_control(outcome):
    shown = outcome("faults")
    [text] = shown["owner"]
    assert tells(text, "OverruledWarning", "Follow", "ReduceLROnPlateau")
    assert shown["owned"] is True


def test_backup_and_restore_goes_on_in_the_midst_of_an_update(outcome):
    shown = outcome("backed_up_control")
    assert shown["schedule"] is True
    assert shown["events"] == [[3 * n, "scale", "halve", 0.5**n] for n in range(1, 6)]


def test_a_run_that_loses_its_controllers_says_so(outcome):
    shown = outcome("backed_up_control")
    assert any(tells(text, "OtherScheduleWarning", "halve", "guard") for text in shown["other"])
    assert any(tells(text, "OtherScheduleWarning", "control=", 7) for text in shown["none"])
    assert any(tells(text, "OtherScheduleWarning", 14, 16) for text in shown["unknown"])
    assert tells(shown["broken"], "OutputError", "hand")


def test_a_loss_that_train_step_returns_is_seen_too(outcome):
    losses, norms, weights = outcome("own_steps")["returned"]
    assert losses == pytest.approx(weights[:4])
    assert norms == [1.0] * 4
    assert not any(map(math.isnan, weights))


@pytest.mark.parametrize(
    ("fact", "parts"),
    [
        ("none", ("LossError", "train_step", "loss", "halve")),
        ("no controller", ("ArgumentTypeError", "control", 3)),
        ("class", ("ArgumentTypeError", "control", "halve(...)")),
        ("no path", ("ArgumentTypeError", "record", 3)),
        ("no page", ("ArgumentTypeError", "page", 8080)),
        ("no control", ("ArgumentError", "control=")),
        ("early", ("ArgumentError", "fit")),
        ("no factor", ("ArgumentError", "factor", 0)),
    ],
)
def test_a_wrong_use_gets_one_clear_line(outcome, fact, parts):
    assert tells(outcome("own_steps")[fact], *parts)
