"""What the README and the example recipes show is what happens."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import learnrate as lr

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.S)


def test_the_scripts_run(toy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where they write

    def train(model, optimizer, batches, updates):
        toy.train(updates)

    names = {
        "model": toy.model,
        "optimizer": toy.optimizer,
        "batches": toy.batches,
        "loss": toy.loss,
        "train": train,
    }
    whole, pieces, _ = blocks("python")
    exec(whole, names)
    assert toy.accuracy(toy.model) > 0.9
    names["optimizer"] = torch.optim.SGD(toy.model.parameters(), lr=0.1)
    exec("import learnrate as lr\n" + pieces, names)
    assert names["schedule"](500) == 0.1
    assert (tmp_path / "curve.html").exists()


def test_the_recipe_is_one(toy):
    names = {"my_data": lambda: [toy.inputs] * 3, "MyNetwork": lambda: toy.model, "accuracy": lambda *_: 0.5}
    *_, text = blocks("python")
    exec(text, names)
    recipe = names["recipe"]()
    assert isinstance(recipe, lr.torch.Recipe)
    assert len(recipe.build(0)) == 3


def test_the_printed_schedule_is_one():
    (printed,) = [line.strip() for line in blocks("")[1].splitlines() if line.strip().startswith("warmup(")]
    assert lr.parse(printed).length == 240


def test_pictures_and_pages_that_it_names_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text()):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


def test_the_claim_about_the_scheduler_is_what_was_measured():
    record = json.loads((ROOT / "benchmarks" / "results" / "schedules.json").read_text())
    rows = {row["name"]: row["ratio"]["median"] for table in record["tables"] for row in table["rows"]}
    names = ("CyclicLR", "OneCycleLR", "SequentialLR", "CosineAnnealingWarmRestarts")
    a, b, c, d = (round(rows[f"{name}, 1 group"]) for name in names)
    assert min(a, b, c, d) >= 10
    assert f"take {a}, {b}, {c} and {d} times" in " ".join((ROOT / "README.md").read_text().split())
    curves = [rows[name] for name in ("triangular2", "warm-up + cosine", "warm restarts")]
    assert min(curves) >= 0.3
    assert max(curves) <= 0.9


def test_the_claim_about_the_range_test_is_what_was_measured():
    record = json.loads((ROOT / "benchmarks" / "results" / "range_test.json").read_text())
    assert all(model["reached"] for model in record["models"])
    names = ("learnrate", "pytorch-lr-finder", "Lightning", "fastai")
    claimed = [f"{model['ratios'][name]['median']:.2f}" for name in names for model in record["models"]]
    readme = " ".join((ROOT / "README.md").read_text().split())
    words = readme[readme.index("A whole range test takes") : readme.index("`make bench-range-test`")]
    found = re.findall(r"\d\.\d\d(?! ms)", words)
    assert found == claimed


@pytest.mark.parametrize("example", ["breast_cancer.py"])
def test_the_example_recipes_are_tuned(example, tmp_path):
    command = [sys.executable, "-m", "learnrate", "tune", str(ROOT / "examples" / example), "--json", "--seeds", "1"]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["results"]["plan"]["mean"] > 0.9
