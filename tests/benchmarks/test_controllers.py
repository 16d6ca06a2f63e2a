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
    seen = record()["falls"][0]
    assert seen["seen"][0] == SEEN
    assert seen["falls"] >= 1000
    assert seen["plateau"] == 0
    assert record()["evaluations"]["plateau"] == 0


def test_the_figures_of_the_page_are_those_of_the_record():
    text = " ".join((ROOT / "docs" / "reacting.md").read_text().split())
    content, seen = record(), record()["falls"][0]
    assert f"none of {seen['falls']:,} falls" in text
    assert f"interrupts {seen['torch']} of them" in text
    delays = [row["plateau"] for row in content["plateaus"]["from the start"].values()]
    assert f"{max(row['median'] for row in delays):.1f} patiences in the median" in text
    assert f"{max(row['of 100, 99'] for row in delays):.1f} in 99 of 100" in text
    most = max(row["most actions"] for row in content["trainings"] if row["controllers"] == "slow and plateau")
    assert f"at most {most} times" in text


@pytest.mark.parametrize("patience", [160, 320, 1000])
def test_the_fall_that_is_always_seen(patience):
    n = np.arange(30 * patience)[:, None]
    fall = -17 / np.sqrt(patience) * n / patience
    assert sees(fall, np.ones_like(fall), np.zeros(1), patience)[0] == pytest.approx(SEEN, rel=0.1)


def test_a_higher_loss_than_none_is_said():
    rows = {(row["lr"], row["controllers"]): row["excess"] for row in record()["trainings"]}
    page = (ROOT / "docs" / "benchmarks.md").read_text()
    for (lr, controllers), excess in rows.items():
        assert re.search(rf"\| {lr} \| {controllers} \| {re.escape(f'{excess:.2g}')} \(", page)
