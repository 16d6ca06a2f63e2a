"""The schedules of the tables: values that the papers give, and that a scale shortens every length alike."""

import numpy as np
import pytest
from benchmarks.papers import policies

ALL = dict(policies.tables())


def row(table, name):
    return next(row for row in ALL[table] if row.name == name)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("fixed", {0: 1e-3, 59_999: 1e-3, 60_000: 1e-4, 64_999: 1e-4, 65_000: 1e-5, 69_999: 1e-5}),
        ("triangular2", {
            0: 1e-3, 2000: 5e-3, 4000: 1e-3, 6000: 3e-3, 14_000: 1.5e-3,
            16_000: 1e-4, 17_000: 5e-4, 18_000: 1e-4, 19_000: 3e-4,
            22_000: 1e-5, 22_500: 5e-5, 23_500: 3e-5, 25_000: 1e-5,
        }),
        ("decay", {0: 0.007, 2000: 0.004, 4000: 0.001, 24_999: 0.001}),
        ("exp", {0: 1e-3, 10_000: 1e-3 * 0.99994**10_000, 70_000: 1e-3 * 0.99994**70_000}),
        ("exp_range", {0: 1e-3, 3000: 6e-3 * 0.99994**3000, 6000: 1e-3 * 0.99994**6000, 42_000: 1e-3 * 0.99994**42_000}),
    ],
)  # fmt: skip
def test_table_1(name, values):
    schedule = row("clr-table-1", name).schedule
    assert [schedule(update) for update in values] == pytest.approx(list(values.values()))


def test_lengths_and_accuracies_are_those_of_the_paper():
    assert {row.name: (row.paper_updates, row.paper_accuracy) for row in ALL["clr-table-1"]} == {
        "fixed": (70_000, 81.4), "triangular2": (25_000, 81.4), "decay": (25_000, 78.5), "exp": (70_000, 79.1), "exp_range": (42_000, 82.2),
    }  # fmt: skip
    assert sum(row.updates for row in ALL["clr-table-1"]) == 232_000
    assert (
        sum(row.updates for name, rows in ALL.items() if "table-3" in name and "beside" not in name for row in rows)
        == 615_000
    )


@pytest.mark.parametrize("scale", [0.5, 0.2, 0.0313])
@pytest.mark.parametrize("table", ALL)
def test_a_scale_shortens_every_length_alike(table, scale):
    """The curve over the share of the training that is done stays the same, but for whole updates."""
    for whole, scaled in zip(ALL[table], dict(policies.tables(scale))[table], strict=True):
        assert (scaled.name, scaled.paper_updates) == (whole.name, whole.paper_updates)
        assert scaled.updates == pytest.approx(whole.updates * scale, abs=1)
        shares = np.linspace(0.0, 0.999, 400)
        expected, values = whole.schedule(shares * whole.updates), scaled.schedule(shares * scaled.updates)
        apart = np.abs(values - expected) > 0.02 * expected.max()
        # At a sudden change, or in cycles of few updates, the edge of an update may lie on the other side.
        assert apart.mean() < 0.03, whole.name


def test_cyclical_trainings_end_where_a_cycle_does():
    for name in ("triangular2", "exp_range"):
        entry = row("clr-table-1", name)
        assert entry.schedule(entry.updates) <= entry.schedule(np.arange(entry.updates)).min()
    for entry in ALL["clr-table-3-adam"][1:]:
        assert entry.schedule(entry.updates) == pytest.approx(0.0005)


def test_table_4_reduces_both_bounds():
    *_, cyclical = ALL["clr-table-4-resnet-10"]
    values = [cyclical.schedule(update) for update in (0, 3200, 6400, 32_000, 35_200, 48_000, 51_200)]
    assert values == pytest.approx([0.1, 0.3, 0.1, 0.01, 0.03, 0.003, 0.001])


@pytest.mark.parametrize("scale", [0, -1, 1.5, True, "0.1", float("nan")])
def test_an_impossible_scale_is_refused(scale):
    with pytest.raises(ValueError, match="SCALE"):
        policies.clr_table_1(scale)


@pytest.mark.parametrize(
    "call", [lambda: policies.clr_table_3("adam"), lambda: policies.clr_table_4("VGG"), lambda: policies.sgdr(20)]
)
def test_names_that_do_not_exist_are_refused_with_what_was_given(call):
    with pytest.raises(ValueError, match="received"):
        call()
