"""How carrying an LR is measured, and that the rules of learnrate gain by the records."""

import json
from collections import Counter

import pytest
from benchmarks.carry import oracle
from benchmarks.carry.fit import Curve, cases, changed_alone, half_of, keep, mean_regret, pairs, power_of_least_regret, rule
from benchmarks.carry.problems import PROBLEMS
from benchmarks.carry.setups import SetUp, bases, variations
from benchmarks.carry.store import Records

from learnrate.tuner.carry import RULES

SETUP = SetUp("fashion_mlp", "adam", batch=4)


@pytest.fixture(scope="module")
def records():
    return Records()


@pytest.fixture(scope="module")
def measured(records):
    return cases(records, list(pairs()))


def test_each_half_has_a_problem_of_each_kind_of_net():
    assert Counter((problem.half, problem.kind) for problem in PROBLEMS.values()) == {
        (half, kind): 1 for half in ("fit", "report") for kind in ("MLP", "CNN", "transformer")
    }


def test_records_are_read_as_they_were_written_and_an_incomplete_line_is_left_out(tmp_path):
    path = tmp_path / "carry.jsonl"
    written = Records(path)
    written.add_run(SETUP, -8, 0, 81.5)
    written.add_run(SETUP, -4, 0, None)
    written.add_noise(SETUP.base, 1, {"a quarter, 10 batches": 120.0})
    with path.open("a") as file:
        file.write('{"setup": {"problem": "fashion_')
    again = Records(path)
    assert (again.runs, again.noise) == (written.runs, written.noise)
    again.add_run(SETUP, -3, 0, 10.0)
    assert len(Records(path).runs) == 3
    assert [set(header) for header in Records(path).headers] == [{"processor", "cores", "Python", "torch", "numpy"}] * 2


def test_the_grid_grows_until_both_sides_of_the_best_lr_are_known_and_no_run_is_made_again(tmp_path, monkeypatch):
    trained = []

    def points(setup, max_lr, seed):
        trained.append((max_lr, seed))
        return None if max_lr > 2.0**-3 else 80.0 - 1.5 * abs(oracle.math.log2(max_lr) + 4)

    monkeypatch.setattr(oracle, "points", points)
    records = Records(tmp_path / "carry.jsonl")
    curve = oracle.measure(records, SETUP, first=-8)
    assert list(curve) == [-9, -8, -7, -6, -5, -4, -3, -2]
    assert (curve[-4], curve[-2]) == (80.0, oracle.WORST)
    assert len(trained) == len(set(trained)) == 2 * len(curve)
    oracle.measure(Records(records.path), SETUP, first=-8)
    assert len(trained) == 2 * len(curve)


def test_the_chosen_lr_is_the_middle_of_a_flat_top_and_keeps_a_distance_to_the_edge():
    flat = Curve({-9: 70.0, -8: 80.0, -7: 80.0, -6: 80.0, -5: 70.0})
    assert flat.best_log2_lr == pytest.approx(-7, abs=0.2)
    edge = Curve({-6: 76.0, -5: 78.0, -4: 80.0, -3: -100.0})
    assert -5.5 < edge.best_log2_lr < -4.3
    assert edge.regret(-4) == 0
    assert edge.regret(-4.5) == pytest.approx(1)
    assert edge.regret(-1) == edge.regret(-3) == 20
    assert edge.regret(-7) > edge.regret(-6) == 4


def test_the_power_of_least_regret_is_the_one_that_the_curves_were_made_with(tmp_path):
    records = Records(tmp_path / "carry.jsonl")
    for setup, top in ((SETUP.base, -8.0), (SETUP, -6.8)):
        for log2_lr in range(-12, -2):
            for seed in range(oracle.seeds_of(setup)):
                records.add_run(setup, log2_lr, seed, 80 - 2 * (log2_lr - top) ** 2 + seed)
    those = cases(records, [(SETUP.base, SETUP)])
    power, regret = power_of_least_regret(those, lambda case: case.log2_ratio("batch"))
    assert power == pytest.approx(0.6, abs=0.1)
    assert regret < mean_regret(those, keep)


def test_every_base_set_up_is_complete_and_a_set_up_that_is_not_counts_nowhere(records, measured, tmp_path):
    setups = {setup for setup, _, _ in records.runs}
    assert set(bases()) <= setups <= {*bases(), *variations()}
    assert all(oracle.is_complete(records, base) for base in bases())
    fewer = Records(tmp_path / "carry.jsonl")
    fewer.runs = dict(records.runs)
    case = measured[0]
    fewer.runs.pop(next(key for key in fewer.runs if key[0] == case.target))
    assert not oracle.is_complete(fewer, case.target)
    assert not cases(fewer, [(case.base, case.target)])


@pytest.mark.parametrize(("optimizer", "name"), [(kind, name) for kind, rules in RULES.items() for name in rules])
def test_each_rule_gains_on_the_problems_on_which_it_was_not_fitted(records, measured, optimizer, name):
    report = half_of(changed_alone(measured, optimizer, name), "report")
    carried, kept = mean_regret(report, rule(records)), mean_regret(report, keep)
    if RULES[optimizer][name].power:
        assert carried < kept
    else:
        assert carried == kept


def test_the_file_is_small_enough_for_a_repository(records):
    assert records.path.stat().st_size < 400_000
    assert all(json.loads(line) for line in records.path.read_text().splitlines() if line)
