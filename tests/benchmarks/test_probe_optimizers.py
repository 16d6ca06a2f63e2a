"""The records of the probe with other optimizers, and how they are read."""

import pytest
from benchmarks import probe_optimizers
from benchmarks.choice.about import names

GRID = {-3: 80.0, -2: 90.0, -1: 92.0, 0: 70.0}


def test_a_choice_loses_what_the_grid_says():
    assert probe_optimizers.regret(GRID, 0.5) == 0.0
    assert probe_optimizers.regret(GRID, 2.0**-1.5) == pytest.approx(1.0)
    assert probe_optimizers.regret(GRID, 2.0**-5) == pytest.approx(12 + 2 * 10)
    assert probe_optimizers.regret(GRID, 4.0) == pytest.approx(22 + 2 * 22)


def test_the_grid_grows_until_the_best_has_two_neighbours_on_each_side():
    assert probe_optimizers.next_exponents({}, -7) == [-7]
    assert probe_optimizers.next_exponents(GRID, 0) == [1]
    assert probe_optimizers.next_exponents({**GRID, 1: 10.0}, 0) == []
    assert probe_optimizers.next_exponents({0: 1.0}, 0) == [-1, 1, -2, 2]


def test_every_record_belongs_to_a_task_and_every_optimizer_has_its_grids():
    rows = probe_optimizers.read()
    assert {row.optimizer for row in rows} == set(probe_optimizers.OPTIMIZERS)
    assert {row.task for row in rows} <= set(names())
    for key in {(row.task, row.optimizer) for row in rows}:
        of_task = [row for row in rows if (row.task, row.optimizer) == key]
        assert not probe_optimizers.next_exponents(probe_optimizers.by_exponent(of_task), 0), key
        assert {row.seed for row in of_task if row.points is None} == set(probe_optimizers.SEEDS), key


def test_the_table_counts_every_probe():
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in probe_optimizers.table().splitlines()[2:]]
    assert sum(int(line[2]) for line in lines) == sum(row.points is None for row in probe_optimizers.read())
