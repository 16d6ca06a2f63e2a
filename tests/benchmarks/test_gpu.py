"""The command that measures on a GPU runs on a CPU too, with tiny sizes, and says what it skips."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    path = tmp_path_factory.mktemp("gpu") / "record.json"
    command = ["bash", "benchmarks/gpu.sh", "--device", "cpu", "--small", "--out", str(path)]
    environment = os.environ | {"PYTHON": sys.executable}
    subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=300, check=True)
    return json.loads(path.read_text())


def test_the_record_names_machine_and_versions(record):
    assert record["small"] is True
    assert record["hardware"]["cores"] >= 1
    assert {"Python", "learnrate", "torch", "numpy", "CUDA"} <= record["versions"].keys()


def test_every_part_is_measured_or_says_why_it_is_skipped(record):
    status = {name: part["status"] for name, part in record["parts"].items()}
    assert status == {
        "tests": "skipped",
        "step": "measured",
        "range_test": "measured",
        "memory": "skipped",
        "cuda_graph": "skipped",
        "trials": "measured",
    }
    assert all("CUDA" in part["reason"] for part in record["parts"].values() if part["status"] == "skipped")


def test_trials_are_measured_as_one_batch_and_one_by_one(record):
    trials = record["parts"]["trials"]
    assert trials["not_measured"] == {}
    for model in trials["models"]:
        for row in model["rows"]:
            assert set(row["seconds"]) == {"as_one_batch", "one_by_one", "one_trial"}
            assert row["over_one_by_one"]["median"] > 0


def test_the_documentation_shows_the_record(record):
    import make

    text = "\n".join(make.gpu_section(record))
    assert "tiny ViT" in text
    assert "skipped" in text


def test_without_a_gpu_it_says_so(tmp_path):
    environment = os.environ | {"PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": ""}
    command = ["bash", "benchmarks/gpu.sh", "--out", str(tmp_path / "record.json")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2
    assert "sees no GPU" in done.stderr
