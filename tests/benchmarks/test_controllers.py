"""What the documentation says of the controllers is what was measured."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from benchmarks.controller_curves import SEEN, sees

ROOT = Path(__file__).parents[2]


def record():
    return json.loads((ROOT / "benchmarks" / "results" / "controllers.json").read_text())


def test_no_fall_that_is_worth_waiting_for_is_interrupted():
    band = record()["falls"][0]
    assert band["seen"][0] == SEEN
    assert band["falls"] >= 1000
    assert band["plateau"] == 0
    evaluations = record()["evaluations"]
    assert evaluations["plateau"] <= 0.005 * evaluations["falls"]


def test_the_figures_of_the_page_are_those_of_the_record():
    text = " ".join((ROOT / "docs" / "reacting.md").read_text().split())
    content, band = record(), record()["falls"][0]
    assert f"none of {band['falls']:,} falls" in text
    assert f"interrupts {band['torch']} of them" in text
    assert band["torch, patience 10"] == band["falls"]
    evaluations = content["evaluations"]
    assert f"interrupts {evaluations['plateau']} and torch {evaluations['torch']}" in text
    ours, theirs, after = (
        [row["plateau"] for row in content["plateaus"]["from the start"].values()],
        [row["torch"] for row in content["plateaus"]["from the start"].values()],
        [row["plateau"] for row in content["plateaus"]["after a fall"]],
    )

    def most(rows, name):
        return f"{max(row[name] for row in rows) + 1e-6:.1f}"

    assert (
        f"{most(ours, 'median')} patiences in the median and after at most {most(ours, 'of 100, 99')} in 99 of 100" in text
    )
    assert f"torch needs {most(theirs, 'median')} and {most(theirs, 'of 100, 99')}" in text
    assert f"at most {most(after, 'median')} in the median, and at most {most(after, 'of 100, 99')} in 99 of 100" in text
    together, four = (
        [row for row in content["trainings"] if row["controllers"] == name] for name in ("slow and plateau", "all four")
    )
    assert f"at most {max(row['most actions'] for row in together)} times in {content['updates']:,} updates" in text
    assert f"all four controllers at most {max(row['most actions'] for row in four)} times" in text
    alone = next(row for row in content["trainings"] if row["controllers"] == "none" and row["lr"] == together[0]["lr"])
    assert round(together[0]["excess"] / alone["excess"]) == 2


@pytest.mark.parametrize("patience", [160, 320, 1000])
def test_the_fall_that_is_always_seen(patience):
    n = np.arange(30 * patience)[:, None]
    fall = -17 / np.sqrt(patience) * n / patience
    assert sees(fall, np.ones_like(fall), np.zeros(1), patience)[0] == pytest.approx(SEEN, rel=0.1)


def test_all_trainings_are_on_the_page():
    rows = {(row["lr"], row["controllers"]): row["excess"] for row in record()["trainings"]}
    page = (ROOT / "docs" / "benchmarks.md").read_text()
    for (lr, controllers), excess in rows.items():
        assert re.search(rf"\| {lr} \| {controllers} \| {re.escape(f'{excess:.2g}')} \(", page)
