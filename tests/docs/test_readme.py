"""The scripts of the README run, and its numbers are those of the records."""

import ast
import json
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

import learnrate as lr
from learnrate.recipes.loading import BUILT_IN, load
from pages import run

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "docs"))
import api_pages  # noqa: E402

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, flags=re.S)
PYTHON = [text for language, text in BLOCKS if language == "python"]


def paragraph(*words):
    """The one paragraph that has all these words."""
    (match,) = [text for text in README.split("\n\n") if all(word in text for word in words)]
    return " ".join(match.split())


def medians(name):
    record = json.loads((ROOT / "benchmarks" / "results" / name).read_text())
    return {row["name"]: row["ratio"]["median"] for table in record["tables"] for row in table["rows"]}


@pytest.mark.slow
def test_the_blocks_run_and_the_recipe_builds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where they write
    names = run("README.md")
    assert isinstance(names["schedule"], lr.Schedule)
    assert names["accuracy"](names["tuned"], names["held_out"]) > 0.9
    assert {path.name for path in tmp_path.iterdir()} >= set(re.findall(r"[\w-]+\.html", "".join(PYTHON)))
    recipe = names["recipe"]()
    assert isinstance(recipe, lr.torch.Recipe)
    assert len(recipe.build(0)) == 3


def test_the_printed_schedule_is_as_long_as_a_training_of_the_built_in_recipe():
    printed = re.findall(
        r"^\s*(\w+\(.*\) >> .*\))$", "\n".join(text for language, text in BLOCKS if not language), flags=re.M
    )
    assert printed
    for expression in printed:
        assert lr.parse(expression).length == load(BUILT_IN).updates


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_lines_of_each_framework_name_what_exists(page):
    """The arguments by name too, read from the sources: no framework is imported."""
    (table,) = re.findall(r"^\| \| a schedule \|.*?\n\n", (ROOT / page).read_text(), flags=re.S | re.M)
    lines = re.findall(r"`([^`]*\blr\.[^`]*)`", table)
    assert len(lines) >= 10
    for call in (node for line in lines for node in ast.walk(ast.parse(line)) if isinstance(node, ast.Call)):
        module, _, name = ast.unparse(call.func).replace("lr", "learnrate", 1).rpartition(".")
        if module.startswith("learnrate"):
            assert name in api_pages.public(module), name
            where, defined_name = api_pages.defined(module, name)
            (node,) = [node for node in api_pages.tree(where).body if getattr(node, "name", "") == defined_name]
            inits = [child for child in ast.walk(node) if getattr(child, "name", "") == "__init__"]
            function = inits[0] if inits else node
            taken = {argument.arg for argument in (*function.args.args, *function.args.kwonlyargs)}
            assert {keyword.arg for keyword in call.keywords} <= taken, ast.unparse(call)
            positional = len(function.args.args) - len(inits)
            assert len(call.args) <= positional, ast.unparse(call)


def test_the_files_that_it_links_to_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


def test_the_numbers_of_the_scheduler_are_in_the_records():
    ratios = medians("schedules.json")
    names = ("CyclicLR", "OneCycleLR", "SequentialLR", "CosineAnnealingWarmRestarts")
    measured = [round(ratios[f"{name}, 1 group"]) for name in names]
    assert min(measured) >= 10
    claimed = [int(number) for number in re.findall(r"(?<![\d.,])\d+(?![\d.,]*\d)", paragraph(*names))]
    assert any(claimed[place : place + 4] == measured for place in range(len(claimed))), measured
    curves = [ratios[name] for name in ("triangular2", "warm-up + cosine", "warm restarts")]
    assert min(curves) >= 0.35  # README: 0.4 to 1.0
    assert max(curves) <= 1.0


def test_the_numbers_of_the_range_test_are_in_the_records():
    record = json.loads((ROOT / "benchmarks" / "results" / "range_test.json").read_text())
    assert all(model["reached"] for model in record["models"])
    peers = ("pytorch-lr-finder", "Lightning", "fastai")
    measured = Counter(
        f"{model['ratios'][name]['median']:.2f}" for name in ("learnrate", *peers) for model in record["models"]
    )
    claimed = Counter(re.findall(r"(?<![\d.])\d+\.\d\d(?!\d| ms)", paragraph(*peers, "`make bench-range-test`")))
    assert claimed == measured


@pytest.mark.slow
@pytest.mark.parametrize("example", ["breast_cancer.py"])
def test_an_example_recipe_is_tuned(commands, example, tmp_path):
    ended = commands.run("tune", ROOT / "examples" / example, "--json", "--seeds", 1, folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["results"]["plan"]["mean"] > 0.9
