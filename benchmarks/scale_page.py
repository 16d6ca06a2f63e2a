"""The page docs/scale.md, from the record of study_scale.py: none of its numbers is written by hand."""

import json
from pathlib import Path
from typing import Any

RECORD = Path(__file__).parent / "results" / "study_scale.json"


def text() -> list[str]:
    """The lines of the page."""
    record = json.loads(RECORD.read_text())
    setting, (plain, watched) = record["setting"], record["studies"]
    workers = setting["nodes"] * setting["workers of a node"]
    per_second = workers / (60 * setting["minutes"])
    messages = workers * setting["messages a second"]
    last, last_watched = plain["rows"][-1], watched["rows"][-1]
    runs = plain["runs"]
    cost = max(row["a run"] for row in plain["rows"])
    kilobytes = 1e3 * last["megabytes"] / runs
    memory = 1e3 * (watched["peak"] / runs)
    return [
        "# A study on a cluster: what it costs, and what breaks first",
        "",
        f"One process, the driver, makes a study: it claims runs, hands them to the [executor](api/study.md), and stores",
        f"what they give. This page says what that costs for {runs:,} runs on {setting['nodes']} nodes of",
        f"{setting['workers of a node']} workers, {setting['minutes']:g} minutes a run: {workers} runs at the same time,",
        f"{per_second:.1f} results a second, {plain['hours']:.1f} hours in all.",
        "",
        "It is simulated by `python benchmarks/study_scale.py`: the driver, the store and the comparison are the real ones, the",
        f"executor is one whose runs pass at simulated times. Each run gives {setting['losses']:,} losses and",
        f"{setting['evaluations']} evaluations; {setting['arms']} arms. Times are those of the processor, on",
        f"{record['hardware']['processor']}. The record:",
        "[benchmarks/results/study_scale.json](../benchmarks/results/study_scale.json).",
        "",
        "## The driver",
        "",
        "Milliseconds of the driver for each run, while the study grows; the last two columns with a comparison for",
        "`on_result`, which is made less often when it would take more than a tenth of the time.",
        "",
        "| runs so far | a run | of it claiming | of it storing | database | memory | a run, with comparisons | memory |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
        *(
            f"| {row['runs']:,} | {row['a run']:.2f} ms | {row['claim']:.2f} ms | {row['finish']:.2f} ms | "
            f"{row['megabytes']:.0f} MB | +{row['memory']:.0f} MB | {other['a run']:.2f} ms | +{other['memory']:.0f} MB |"
            for row, other in zip(plain["rows"], watched["rows"], strict=True)
        ),
        "",
        f"- **Events:** {1e3 / cost:,.0f} results a second in the slowest fifth; the study needs {per_second:.1f}. The cost",
        "  of a run does not grow with their number: a claim and a comparison read only what is new in the database.",
        f"- **Database:** {kilobytes:.0f} kB a run, {last['megabytes']:.0f} MB in all.",
        f"- **Memory:** while it makes runs, the driver holds none of them: +{last['memory']:.0f} MB after {runs:,} runs. The",
        f"  comparison at the end holds all: {plain['peak']:.0f} MB at the most. With comparisons in between:",
        f"  +{last_watched['memory']:.0f} MB.",
        f"- **Starting again:** {plain['starting again']:.1f} s for a study of which all runs have ended; the comparison alone",
        f"  {plain['reading']:.1f} s.",
        f"- **Messages:** a worker reports at most {setting['messages a second']:g} times a second, {workers} workers",
        f"  {messages:,.0f} times. They pass through one actor of Ray, or the scheduler of Dask.",
        "",
        "## What breaks first",
        "",
        f"1. **Memory of the comparison.** Python objects take about {memory:.0f} kB a run at the peak; ten times as many runs",
        f"   take {10 * watched['peak'] / 1e3:.0f} GB. Until then nothing has to be done; beyond, compare fewer arms at a time:",
        "   each call of `compare` and `Comparison` has only the arms that it names in its result, but reads all of the study.",
        "   Give large questions a study each.",
        f"2. **Messages.** From some thousand a second on, one actor or scheduler is busy with them. It only delays them: a",
        "   run does not wait for its message.",
        f"3. **Checkpoints on a shared file system.** {workers} runs write one each a minute by default, {workers / 60:.0f} a",
        "   second, each as large as the model with the state of its optimizer. `checkpoint_every=600` writes ten times fewer.",
        "4. **One writer.** sqlite stores one result after the other. Runs of under a second on as many workers come near",
        f"   to what it can ({1e3 / cost:,.0f} a second); make such runs longer, or several of them as one.",
        "5. **The driver itself** is one process. When it is killed, the runs in progress are lost up to their checkpoints, and the",
        "   next start goes on from the study; see [statistics](statistics.md) for why that changes no result.",
        "",
    ]
