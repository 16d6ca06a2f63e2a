"""docs/papers.md: from records that are written here, and compared with the page and the pictures that are kept."""

import math
import random
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.papers import records
from benchmarks.papers.experiments import EXPERIMENTS
from benchmarks.papers.report import claims, headline, page, pictures, results

from learnrate.study import Comparison, Outcome, Training
from learnrate.study.running.run import Chosen, Failure

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "docs"))

import make  # noqa: E402


def training(seed, row, score, every, target_at=None):
    """A training whose accuracy rises to its score in the first tenth, or jumps to it at an update."""
    checkpoints = [*range(every, row.updates, every), row.updates]
    reached = target_at or row.updates / 10
    scores = [score if count >= reached else score - 20 for count in checkpoints]
    schedule = repr(row.schedule)
    return Training(seed, scores[-1], (2.0, 1.0), tuple(checkpoints), tuple(scores), "accuracy", updates=row.updates, schedule=schedule)  # fmt: skip


def comparison(name, scale, scores, seeds=3, target_at=None, tuning=100):
    """An experiment whose arms have these scores, each seed a little more."""
    experiment = EXPERIMENTS[name]
    every, outcomes = experiment.evaluations_every(scale), []
    for arm, entry in experiment.by_name(scale).items():
        if arm not in scores:
            continue
        draws = random.Random(arm)
        trainings = tuple(
            training(seed, entry.row, scores[arm] + seed / 10 + draws.gauss(0, 0.02), every, (target_at or {}).get(arm))
            for seed in range(seeds)
        )
        schedule = "one_cycle(max_lr=0.02, length=700)" if entry.family else repr(entry.row.schedule)
        chosen = Chosen(schedule, 0.02, tuning, 1.0) if entry.family else None
        outcomes.append(Outcome(arm, schedule, entry.row.updates, trainings, chosen))
    return Comparison(7_000, tuple(outcomes), environments=({"processor": "a processor", "torch": "2", "host": "secret"},))


TABLE_1 = {"fixed": 78.0, "triangular2": 78.3, "decay": 75.0, "exp": 78.5, "exp_range": 79.5}


@pytest.fixture
def folder(tmp_path):
    records.write("clr-table-1", 0.1, comparison("clr-table-1", 0.1, TABLE_1, target_at={"triangular2": 2_000}), tmp_path)
    one_seed = comparison("clr-table-1", 1.0, {"fixed": 80.0, "triangular2": 79.0}, seeds=1)
    records.write("clr-table-1", 1.0, one_seed, tmp_path)
    plans = {"one_cycle, 7,000": 78.9, "warmup_cosine, 7,000": 77.0}
    records.write("headline", 0.1, comparison("headline", 0.1, plans, target_at={"one_cycle, 7,000": 650}), tmp_path)
    return tmp_path


def row(lines, *parts):
    """The cells of the only row of a table that begins so."""
    (line,) = [line for line in lines if line.startswith(f"| {parts[0]} |") and all(part in line for part in parts)]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_ours_stands_beside_the_papers_figure_at_each_scale(folder):
    lines = page.text(results.read(folder))
    start = lines.index(f"## {EXPERIMENTS['clr-table-1'].title}")
    table = lines[start:]
    (head,) = [line for line in table if "here, scale 1 |" in line]
    assert head.index("paper") < head.index("here, scale 1 |") < head.index("here, scale 0.1")
    _, updates, paper, whole, tenth = row(table, "triangular2", "25,000")
    assert (updates, paper) == ("25,000", "81.4")
    assert re.match(r"\*\*79\.\d\d\*\* \(1 seed\)", whole)
    assert re.match(r"\*\*78\.\d\d\*\* ± 0\.1\d? ?", tenth)
    assert row(table, "decay", "25,000")[3] == ""  # not run at this scale


def test_a_claim_is_decided_by_the_interval_alone(folder):
    shown = {claim.text: claims.deciding(claims.verdicts(results.read(folder), claim)) for claim in claims.CLAIMS}
    words = {text: row[1].word for text, row in shown.items() if row is not None}
    first, *_ = claims.CLAIMS
    assert words == {
        first.text: claims.HOLDS,  # +0.3: no less than 1 point below
        claims.CLAIMS[1].text: claims.HOLDS,  # +3.3
        claims.CLAIMS[2].text: claims.HOLDS,  # +1.0
        claims.CLAIMS[3].text: claims.FAILS,  # -0.5 instead of +2.3
    }
    assert shown[claims.CLAIMS[3].text][1].size == "less than in the paper"
    assert shown[first.text][0].scale == 0.1  # one seed at full scale has no interval
    cells = row(page.text(results.read(folder)), first.text)
    assert cells[1] == "+0.0"
    assert "scale 1: -1" in cells[2]
    assert "(1 seed)" in cells[2]
    assert "holds" in cells[3]


@pytest.mark.parametrize(
    ("ours", "theirs", "equal", "either_way", "word"),
    [
        ([80.0, 80.1, 80.2], [79.0, 79.05, 79.25], False, False, claims.HOLDS),
        ([79.0, 79.05, 79.25], [80.0, 80.1, 80.2], False, False, claims.FAILS),
        ([80.0, 79.0, 81.0], [79.9, 80.0, 80.0], False, False, claims.OPEN),
        ([79.5, 79.45, 79.55], [80.0, 80.0, 80.0], True, False, claims.HOLDS),
        ([78.5, 78.45, 78.55], [80.0, 80.0, 80.0], True, False, claims.FAILS),
        ([81.5, 81.45, 81.55], [80.0, 80.0, 80.0], True, False, claims.HOLDS),
        ([81.5, 81.45, 81.55], [80.0, 80.0, 80.0], True, True, claims.FAILS),
        ([80.0], [70.0], False, False, claims.OPEN),
        ([math.nan, 80.0, 80.0], [70.0, 70.0, 70.0], False, False, claims.OPEN),
    ],
)
def test_verdicts(ours, theirs, equal, either_way, word):
    compared = claims.Verdict(
        replace(claims.CLAIMS[0], equal=equal, either_way=either_way), results.difference(ours, theirs)
    )
    assert compared.word == word


def test_the_headline_counts_updates_to_the_accuracy_of_fixed(folder):
    whole, tenth = headline.headlines(results.read(folder))
    assert [contender.arm.name for contender in whole.contenders] == ["triangular2"]
    assert headline.foremost([whole, tenth]) is tenth
    contenders = {contender.arm.name: contender for contender in tenth.contenders}
    assert tenth.target == pytest.approx(78.1, abs=0.03)
    # fixed: 7,000 updates. The targets are reached at 2,000 and 650; evaluations are every 158 updates, those of the plans
    # every 79 and at their end.
    assert contenders["triangular2"].median == 2_054
    assert contenders["triangular2"].fewer().ratio == pytest.approx((7_000 / 2_054,) * 2)
    plan = contenders["one_cycle, 7,000"]
    assert (plan.own, plan.median, plan.tuning) == (True, 700, 100)
    assert plan.fewer(with_tuning=True).ratio == pytest.approx((7_000 / 800,) * 2)
    assert contenders["decay"].reached == 0
    assert tenth.best_own is plan
    lines = page.text(results.read(folder))
    sentence = next(line for line in lines if line.startswith("- **At scale 0.1**"))
    assert all(
        part in sentence for part in ("2,054 updates", "3.4 times fewer", "paper: 2.8", "one_cycle", "700", "goal: 10")
    )
    assert row(lines, "decay", "0 of 3")[5:] == ["", ""]
    # All three seeds reach it at the same checkpoint: the interval of the median, which three seeds cover with 75 %.
    assert row(lines, "triangular2", "2,054")[5] == "**3.4** (3.4 to 3.4, 75 %)"


def test_without_records_everything_is_not_run_and_nothing_else(tmp_path):
    lines = page.text(results.read(tmp_path))
    assert not [line for line in lines if "![" in line or line.startswith("| fixed")]
    assert lines[lines.index("## The headline: updates to the accuracy of a fixed LR") + 2] == "not run"
    for name in EXPERIMENTS:
        assert row(lines, f"`{name}`")[-1] == "not run"
    assert all(row(lines, claim.text)[-2:] == ["", "not run"] for claim in claims.CLAIMS)
    assert pictures.named(results.read(tmp_path)) == []


@pytest.mark.slow
def test_pictures_are_drawn_once_and_those_without_records_are_removed(folder, tmp_path):
    read, place = results.read(folder), tmp_path / "pictures"
    names = {"times-fewer", "claims", "figure-1", "clr-table-1"}
    assert {path.stem for path in pictures.draw_all(read, place)} == set(pictures.named(read)) == names
    assert {pictures.drawn_from(path) for path in place.glob("*.png")} == {pictures.origin(read)}
    assert pictures.draw_all(read, place) == []
    shown = set(re.findall(r"images/papers/([\w-]+)\.png", "\n".join(page.text(read))))
    assert shown == names
    records.path_of("headline", 0.1, folder).unlink()
    for scale in (0.1, 1.0):
        records.path_of("clr-table-1", scale, folder).unlink()
    assert pictures.draw_all(results.read(folder), place) == []
    assert not list(place.iterdir())


def test_a_training_that_diverged_or_failed_is_named(tmp_path):
    whole = comparison("clr-windows", 0.1, {"triangular": 78.0, "welch": 78.0, "hann": 78.0})
    diverged = [replace(of_welch, updates=10, score=10.0) for of_welch in whole["welch"].trainings[:1]]
    arms = [arm for arm in whole if arm.name == "triangular"]
    arms += [replace(whole["welch"], trainings=(*diverged, *whole["welch"].trainings[1:]))]
    arms += [replace(whole["hann"], trainings=(), failures={0: Failure("out of memory")})]
    records.write("clr-windows", 0.1, replace(whole, arms=tuple(arms)), tmp_path)
    text = "\n".join(page.text(results.read(tmp_path)))
    assert "welch: 1 of 3 diverged" in text
    assert "hann: 1 failed" in text
    assert "secret" not in text


def test_a_record_with_the_gpu_is_another_column(folder):
    gpu = comparison("clr-table-1", 1.0, TABLE_1)
    records.write("clr-table-1", 1.0, gpu, folder, on_gpu=True)
    titles = [measured.title for measured in results.read(folder).of("clr-table-1")]
    assert titles == ["scale 1", "scale 1, GPU", "scale 0.1"]
    assert results.read(folder).best("clr-table-1").title == "scale 1, GPU"  # the other one is not complete


def test_why_shows_what_each_variant_changes(tmp_path):
    scores = dict.fromkeys(EXPERIMENTS["clr-why"].by_name(0.1), 75.0)
    scores |= {"fixed, no LRN": 73.0, "triangular2, no LRN": 74.0}
    records.write("clr-why", 0.1, comparison("clr-why", 0.1, scores), tmp_path)
    lines = page.text(results.read(tmp_path))
    _, fixed, cycles, moved, apart = row(lines, "no LRN")
    assert fixed.startswith("**73.")
    assert cycles.startswith("**74.")
    assert float(moved.split()[0]) == pytest.approx(-2, abs=0.1)
    assert float(apart.split()[0]) == pytest.approx(1, abs=0.1)
    assert row(lines, "as in Caffe")[3] == ""


def test_scales_are_read_from_the_names_of_the_files(tmp_path):
    for name in ("sgdr-10-0.1", "sgdr-100-0.2", "sgdr-10-1", "sgdr-10-2e-05", "sgdr-10-0.2-gpu", "sgdr-10-notes"):
        (tmp_path / f"{name}.json").touch()
    assert records.scales("sgdr-10", tmp_path) == [1.0, 0.2, 0.1, 2e-05]


def test_every_claim_is_about_arms_that_exist():
    for claim in claims.CLAIMS:
        assert {claim.first, claim.second} <= set(EXPERIMENTS[claim.experiment].by_name(0.1))
        assert claim.paper is None or claim.equal or claim.paper > 0, claim


def test_the_page_and_the_pictures_that_are_kept_are_those_of_the_records():
    read = results.read()
    drawn = {path.name: pictures.drawn_from(path) for path in make.PAPER_PICTURES.glob("*")}
    assert drawn == {f"{name}.png": pictures.origin(read) for name in pictures.named(read)}, "run python docs/make.py"
    text = (ROOT / "docs" / "papers.md").read_text()
    assert set(re.findall(r"images/papers/([^)]+)", text)) == set(drawn)
