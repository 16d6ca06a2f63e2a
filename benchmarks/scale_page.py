"""The page docs/scale.md, from the record of study_scale.py: none of its numbers is written by hand."""

import json
import textwrap
from pathlib import Path

RECORD = Path(__file__).parent / "results" / "study_scale.json"


def text() -> list[str]:
    """The lines of the page."""
    record = json.loads(RECORD.read_text())
    setting, (plain, watched) = record["setting"], record["studies"]
    workers = setting["nodes"] * setting["workers of a node"]
    needed = workers / (60 * setting["minutes"])
    messages = workers * setting["messages a second"]
    last, runs = plain["rows"][-1], plain["runs"]
    possible = 1e3 / max(row["a run"] for row in plain["rows"])
    kilobytes, memory = 1e3 * last["megabytes"] / runs, 1e3 * watched["peak"] / runs
    return [
        "# A study on a cluster: what it costs, and what breaks first",
        "",
        *_paragraph(
            "One process, the driver, makes a study: it claims runs, hands them to the [executor](executors.md), and stores "
            f"what they give. This page says what that costs for {runs:,} runs on {setting['nodes']} nodes of "
            f"{setting['workers of a node']} workers with {setting['minutes']:g} minutes a run: {workers} runs at the same "
            f"time, {needed:.1f} results a second, {plain['hours']:.1f} hours in all."
        ),
        *_paragraph(
            "It is simulated by `make bench-study-scale`: the driver, the store and the comparison are the real ones, the "
            f"runs end at simulated times. Each run returns {setting['losses']:,} losses and {setting['evaluations']} "
            f"evaluations; there are {setting['arms']} arms. Times are processor times, on "
            f"{record['hardware']['processor']}. The record: "
            "[benchmarks/results/study_scale.json](../benchmarks/results/study_scale.json)."
        ),
        "## The driver",
        "",
        *_paragraph(
            "What a run costs while the study grows. The last two columns are with `on_result`, for which a comparison is "
            "made less often when it would take more than a tenth of the time; here, where the runs take no time, "
            f"{watched['looks']} times."
        ),
        "| runs so far | a run | of which claiming | storing | database | memory | a run, with comparisons | memory |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
        *(
            f"| {row['runs']:,} | {row['a run']:.2f} ms | {row['claim']:.2f} ms | {row['finish']:.2f} ms | "
            f"{row['megabytes']:.0f} MB | +{row['memory']:.0f} MB | {other['a run']:.2f} ms | +{other['memory']:.0f} MB |"
            for row, other in zip(plain["rows"], watched["rows"], strict=True)
        ),
        "",
        *_item(
            f"- **Events:** {possible:,.0f} results a second in the slowest fifth; the study needs {needed:.1f}. The cost "
            "of a run does not grow with their number: a claim and a comparison read only what is new in the database."
        ),
        *_item(f"- **Database:** {kilobytes:.0f} kB a run, {last['megabytes']:.0f} MB in all."),
        *_item(
            f"- **Memory:** during the study the driver keeps no results in memory: +{last['memory']:.0f} MB. The "
            f"comparison at the end has all of them in memory: +{plain['peak']:.0f} MB; with comparisons in between, "
            f"+{watched['peak']:.0f} MB."
        ),
        *_item(
            f"- **Starting again:** {plain['starting again']:.1f} s for a study whose runs have all ended, of which "
            f"reading and comparing take {plain['reading']:.1f} s."
        ),
        *_item(
            f"- **Messages:** a worker reports at most {setting['messages a second']:g} times a second, so {workers} "
            f"workers report {messages:,.0f} times. They pass through one actor of Ray, or the scheduler of Dask."
        ),
        "",
        "## What breaks first",
        "",
        *_item(
            f"1. **Memory of the comparison.** Its Python objects take {memory:.0f} kB a run: ten times as many runs take "
            f"{10 * watched['peak'] / 1e3:.0f} GB, and {10 * plain['reading']:.0f} s to read. Use a study of its own for "
            "each question: `compare` reads all runs of its study."
        ),
        *_item(
            f"2. **Messages.** All {messages:,.0f} a second pass through one actor or scheduler, which was not measured. "
            "If there are too many, they arrive late, but a run does not wait for its message."
        ),
        *_item(
            f"3. **Checkpoints on a shared file system**, which were not measured either. {workers} runs write one "
            f"each minute, {workers / 60:.0f} a second in all, each as large as the model with the state of its optimizer. "
            "`checkpoint_every=600` writes a tenth of that."
        ),
        *_item(
            f"4. **One writer.** The driver stores one result after the other. If {workers} workers make runs shorter than "
            f"{workers / possible:.1f} s, results arrive faster than it stores them; make such runs longer."
        ),
        *_item(
            "5. **The driver** is one process. When it is killed, the next start continues the study, and the runs that "
            "were in progress continue from their checkpoints."
        ),
        "",
    ]


def _paragraph(text: str) -> list[str]:
    return [*textwrap.wrap(text, 120, break_long_words=False, break_on_hyphens=False), ""]


def _item(text: str) -> list[str]:
    indent = " " * (text.index(" ") + 1)
    return textwrap.wrap(text, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
