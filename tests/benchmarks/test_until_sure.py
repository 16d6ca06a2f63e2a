"""The rule for adding seeds keeps its error rate in the stored simulations, and the pages say what was simulated."""

import json
import math
import re
from pathlib import Path

from learnrate.study.statistics.sequential import EFFECT_VARIANCE

ROOT = Path(__file__).parents[2]


def record():
    return json.loads((ROOT / "benchmarks" / "results" / "until_sure.json").read_text())


def test_at_most_5_percent_of_2000_studies_without_a_difference_end_in_a_claim():
    rows = record()["false claims"]
    assert {row["arms"] for row in rows} == {2, 4}
    assert len({row["noise"] for row in rows}) >= 6
    for row in rows + record()["diverging"]:
        assert row["studies"] >= 2000
        assert row["claims"] <= 0.05 * row["studies"], row


def test_looking_at_the_usual_interval_after_every_seed_does_not():
    assert all(row["naive"] > 4 * 0.05 * row["studies"] for row in record()["false claims"])


def test_the_prior_is_the_one_that_needs_the_fewest_seeds():
    content = record()
    assert content["variance"] == EFFECT_VARIANCE
    means = {
        row["variance"]: math.prod(value for name, value in row.items() if name != "variance") for row in content["priors"]
    }
    assert min(means, key=means.get) == EFFECT_VARIANCE


def test_the_figures_of_the_page_are_those_of_the_record():
    text = " ".join((ROOT / "docs" / "statistics.md").read_text().split())
    content = record()
    rows = {(row["noise"], row["arms"]): row for row in content["false claims"]}

    def share(row, name="claims"):
        return f"{100 * row[name] / row['studies']:.1f} %"

    assert f"in {share(rows['normal', 2], 'naive')}, and with four arms in {share(rows['normal', 4], 'naive')}" in text
    assert (
        f"in {share(rows['each seed suits one half of the arms', 2], 't interval, 3 seeds')} of the simulated studies"
        in text
    )
    assert "wrong in " + " and ".join(share(row) for row in content["outside"]) in text
    for noise in {noise for noise, _ in rows}:
        assert f"| {noise} | {share(rows[noise, 2])}, {share(rows[noise, 4])} |" in text


def test_the_output_on_the_page_is_what_its_code_prints(capsys):
    names = {}
    page = (ROOT / "docs" / "statistics.md").read_text()
    blocks = re.findall(r"```(python|text)\n(.*?)```", page, re.DOTALL)
    assert [kind for kind, _ in blocks] == ["python", "text"] * 3
    for (_, code), (_, output) in zip(blocks[::2], blocks[1::2], strict=True):
        exec(code, names)
        assert capsys.readouterr().out == output
