"""Studies and comparisons read from files: values, tables, and what is no study."""

import contextlib
import csv
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

import learnrate as lr
from comparisons import KINDS, broken, usual
from driver_script import make
from facts import facts
from learnrate.errors import LearnrateError, OutputError

SCRIPT = Path(__file__).with_name("driver_script.py")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("broken", "all diverged")])
def test_a_saved_comparison_is_read_as_it_was(kind, tmp_path):
    KINDS[kind].save(tmp_path / "comparison.json")
    assert lr.Comparison.load(tmp_path / "comparison.json") == KINDS[kind]


def test_a_saved_comparison_keeps_what_is_not_finite_and_what_failed(tmp_path):
    broken().save(tmp_path / "comparison.json")
    comparison = lr.Comparison.load(tmp_path / "comparison.json")
    assert repr(comparison.as_record()) == repr(broken().as_record())  # NaN is not equal to itself
    assert comparison["fails"].failures[2].error == "ValueError: no <data>"
    assert comparison["fails"].chosen == broken()["fails"].chosen
    assert repr(comparison["diverges"].scores[1]) == "nan"


def test_a_study_is_read_without_being_changed(tmp_path):
    study = tmp_path / "study.sqlite"
    comparison = make(study, seeds=2)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert lr.Comparison.load(study) == comparison
    assert lr.Comparison.load(str(study))["cosine"].recipe == "slow_recipe"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["study.sqlite", "study/"])
def test_a_study_is_read_while_it_is_made(tmp_path, name):
    study = f"{tmp_path}/{name}"
    driver = subprocess.Popen([sys.executable, SCRIPT, study], env={**os.environ, "PAUSE": "0.005"})
    try:
        comparison = None
        # Between two runs, none is in progress.
        while comparison is None or not (comparison["constant"].trainings and comparison.in_progress):
            assert driver.poll() is None
            time.sleep(0.02)
            with contextlib.suppress(OutputError):
                comparison = lr.Comparison.load(study)
        assert len(comparison.in_progress) == 1
        comparison.to_html(tmp_path / "page.html")
        assert "1 run in progress" in (tmp_path / "page.html").read_text()
        driver.send_signal(signal.SIGSTOP)
        driver.kill()
    finally:
        driver.kill()
        driver.wait()
    # The claim of a process that was killed is void.
    assert lr.Comparison.load(study).in_progress == ()


def test_what_is_no_study_is_refused_and_left_as_it_is(tmp_path):
    (tmp_path / "empty.sqlite").touch()
    (tmp_path / "text.sqlite").write_text("no database")
    (tmp_path / "curve.json").write_text('{"learnrate": "curve", "version": 1}')
    with contextlib.closing(sqlite3.connect(tmp_path / "other.sqlite")) as connection:
        connection.execute("CREATE TABLE mine (value)")
    for path in [*tmp_path.iterdir(), tmp_path / "missing.sqlite"]:
        before = path.read_bytes() if path.exists() else None
        with pytest.raises(OutputError, match=facts(path.name)):
            lr.Comparison.load(path)
        assert (path.read_bytes() if path.exists() else None) == before
    with pytest.raises(LearnrateError, match=facts("study", 3)):
        lr.Comparison.load(3)


def test_a_broken_file_names_its_fault(tmp_path):
    path = tmp_path / "comparison.json"
    usual().save(path)
    text = path.read_text()
    for old, new, named in (
        ('"updates": 200', '"updates": "many"', "updates"),
        ('"anytime": false', '"anytime": 3', "anytime"),
        ('"metric": "accuracy"', '"metric": 1', "metric"),
    ):
        path.write_text(text.replace(old, new))
        with pytest.raises(OutputError, match=facts("comparison.json", named)):
            lr.Comparison.load(path)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("UPDATE runs SET record = '{broken' WHERE arm = 'cosine'", "run cosine, seed 0"),
        ("UPDATE runs SET record = '{}' WHERE arm = 'cosine'", "run cosine, seed 0"),
        ("UPDATE runs SET losses = x'0011'", "the run"),
        ("UPDATE study SET value = '[]' WHERE name = 'definition'", "definition"),
        ("UPDATE study SET value = '{\"arms\": {}}' WHERE name = 'definition'", "definition"),
    ],
)
def test_a_damaged_study_names_its_file_and_the_fault(change, named, tmp_path):
    study = tmp_path / "s.sqlite"
    make(study, seeds=1)
    with contextlib.closing(sqlite3.connect(study)) as connection:
        connection.execute(change)
        connection.commit()
    with pytest.raises(OutputError, match=facts("s.sqlite", "damaged", named)):
        lr.Comparison.load(study)


def test_tables_have_a_row_for_each_training_or_evaluation(tmp_path):
    comparison = usual()
    trainings, evaluations = comparison.to_pandas(), comparison.to_pandas("evaluation")
    assert list(trainings[["arm", "seed"]].itertuples(index=False, name=None)) == [
        (arm.name, seed) for arm in comparison for seed in range(4)
    ]
    assert trainings.groupby("arm")["score"].mean()["wsd"] == pytest.approx(comparison["wsd"].mean)
    assert len(evaluations) == 3 * 4 * 10
    some = evaluations[(evaluations["arm"] == "wsd") & (evaluations["seed"] == 2)]
    assert tuple(some["accuracy"]) == comparison["wsd"].trainings[2].scores
    assert tuple(some["update"]) == comparison["wsd"].trainings[2].checkpoints
    assert tuple(some["error"]) == comparison["wsd"].trainings[2].more["error"]
    comparison.to_csv(tmp_path / "table.csv", "evaluation")
    with (tmp_path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["accuracy"]) for row in rows] == evaluations["accuracy"].tolist()
    assert len(broken().to_pandas()) == 8
    assert len(KINDS["nothing yet"].to_pandas("evaluation")) == 0
    with pytest.raises(ValueError, match=facts("each", "epoch")):
        comparison.to_pandas("epoch")


@pytest.mark.xdist_group("tensorboard")
def test_tensorboard_reads_back_a_comparison(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(tmp_path) as writer:
        broken().log(writer, "mine")
    events = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0, "scalars": 0})
    events.Reload()
    training = broken()["fails"].trainings[1]
    scores = [(event.step, event.value) for event in events.Scalars("mine/fails/seed 1/accuracy")]
    assert scores == [(n, pytest.approx(score)) for n, score in zip(training.checkpoints, training.scores, strict=True)]
    losses = [(event.step, event.value) for event in events.Scalars("mine/fails/seed 1/training loss")]
    assert losses == [(n + 1, pytest.approx(loss)) for n, loss in enumerate(training.losses)]
    (event,) = events.Tensors("mine/fails/schedule/text_summary")
    assert event.tensor_proto.string_val[0].decode().strip() == "constant(0.2)"
    assert any("frac" in tag for tag in events.Tags()["scalars"])
    assert not any(set("<>$&\\{}") & set(tag) for tag in events.Tags()["scalars"])
