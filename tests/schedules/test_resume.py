"""Which schedule goes on where a run is resumed under another one."""

import pytest

import learnrate as lr
from learnrate.schedules.resume import check_on_change, resumed

SAVED = lr.warmup(0.1, 4) >> lr.cosine(0.1, 0.0, 12)
LONGER = lr.warmup(0.1, 8) >> lr.cosine(0.1, 0.0, 24)


def test_the_same_schedule_goes_on_silently():
    assert resumed(repr(SAVED), SAVED, 6) is SAVED


def test_the_same_schedule_with_functions_of_the_user_is_the_same_by_its_text():
    def halved(n):
        return 0.1 / (1 + n)

    schedule = lr.function(halved)
    assert resumed(repr(schedule), schedule, 6, "error") is schedule


@pytest.mark.parametrize(
    ("on_change", "chosen"),
    [("keep", SAVED), ("rebase", SAVED.rebase(at=6, new_length=32)), ("new", LONGER)],
)
def test_another_schedule_is_named_and_what_goes_on_is_said(on_change, chosen):
    with pytest.warns(lr.errors.OtherScheduleWarning, match="not the one of the checkpoint") as warnings:
        assert resumed(repr(SAVED), LONGER, 6, on_change) == chosen
    assert f"{SAVED(6):.6g}" in str(warnings[0].message)
    assert repr(chosen) in str(warnings[0].message)


def test_a_run_that_ends_before_its_checkpoint_cannot_be_rebased():
    with pytest.raises(lr.errors.ArgumentError, match=r"update 6.*5 updates"):
        resumed(repr(SAVED), lr.cosine(0.1, 0.0, 5), 6, "rebase")


def test_a_rebased_schedule_goes_on_from_the_same_value():
    with pytest.warns(lr.errors.OtherScheduleWarning):
        schedule = resumed(repr(SAVED), LONGER, 6, "rebase")
    assert schedule(6) == SAVED(6)
    assert schedule(32) == SAVED(16)


def test_another_schedule_is_an_error_unless_it_is_allowed():
    with pytest.raises(lr.errors.ArgumentError, match="on_change='keep'"):
        resumed(repr(SAVED), LONGER, 6)


def test_what_cannot_be_done_is_refused():
    with pytest.raises(lr.errors.ArgumentError, match="with an end"):
        resumed(repr(SAVED), lr.constant(0.1), 6, "rebase")
    with pytest.raises(lr.errors.ArgumentError, match="cannot be read"):
        resumed("function(f=<lambda>)", SAVED, 6, "keep")
    with pytest.raises(lr.errors.ArgumentError, match="on_change must be"):
        check_on_change("kept")
