"""The command that measures on a GPU also runs on a CPU, with tiny sizes, and says what it skips."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import page

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def run(*arguments, **environment):
    command = ["bash", "benchmarks/gpu.sh", *map(str, arguments)]
    environment = os.environ | {"PYTHON": sys.executable} | environment
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900, check=False)


@pytest.mark.heavy
def test_on_a_cpu_every_part_is_measured_or_says_why_it_is_skipped(tmp_path):
    done = run("--device", "cpu", "--small", "--out", tmp_path / "record.json")
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["small"] is True
    assert record["hardware"]["cores"] >= 1
    assert {"Python", "learnrate", "torch", "numpy", "CUDA"} <= record["versions"].keys()

    skipped = {name: part["reason"] for name, part in record["parts"].items() if part["status"] == "skipped"}
    measured = {name for name, part in record["parts"].items() if part["status"] == "measured"}
    assert measured == {"step", "range_test", "trials"}
    assert skipped.keys() == {"tests", "memory", "cuda_graph"}
    assert all("CUDA" in reason for reason in skipped.values())

    assert record["parts"]["trials"]["not_measured"] == {}
    rows = [row for model in record["parts"]["trials"]["models"] for row in model["rows"]]
    assert len(rows) == 2
    for row in rows:
        assert row["seconds"].keys() == {"as_one_batch", "one_by_one", "one_trial"}
        assert row["over_one_by_one"]["median"] > 0

    section = "\n".join(page.gpu_section(record))
    assert all(reason in section for reason in skipped.values())
    assert "tiny ViT" in section


@pytest.mark.heavy
def test_without_a_gpu_the_command_says_so_and_writes_nothing(tmp_path):
    done = run("--out", tmp_path / "record.json", CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 2
    assert "sees no GPU" in done.stderr
    assert not (tmp_path / "record.json").exists()


@pytest.mark.heavy
def test_the_papers_command_says_so_as_well(tmp_path):
    done = run("--papers", "--results", tmp_path, CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 1
    assert "sees no GPU" in done.stderr
    assert not list(tmp_path.iterdir())
