"""The section of docs/benchmarks.md on executors, from the record of executors.py."""

from typing import Any

NAMES = {
    "here": "one after the other, here",
    "processes": "processes",
    "dask": "Dask, a cluster on this machine",
    "ray": "Ray, a cluster on this machine",
}


def section(record: dict[str, Any]) -> list[str]:
    """The lines of the section."""
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    columns = [row["runs"] for row in record["executors"][0]["rows"]]
    head = ["executor", *(f"{runs:,} runs" for runs in columns), f"elapsed, {columns[-1]:,} runs", "start"]
    return [
        "## What an executor costs a run",
        "",
        f"Measured by `python benchmarks/executors.py` on {record['hardware']['processor']}",
        f"({record['hardware']['cores']} cores, shared with other programs); {versions}.",
        f"Studies whose runs do nothing, with {record['workers']} workers: processor time of the driver for each run, with",
        "writing the file of the study; then the elapsed time for each run, with the worker; and the seconds from the",
        f"start of the executor to the end of its first runs. Median and range of {record['rounds']} rounds; the longest",
        "study was made once. The scheduler of a Dask cluster on this machine is in the process of the driver, the head of",
        "Ray is not.",
        "The record: [benchmarks/results/executors.json](../benchmarks/results/executors.json).",
        "",
        "| " + " | ".join(head) + " |",
        "|---" + "|---:" * (len(head) - 1) + "|",
        *("| " + " | ".join(_row(executor)) + " |" for executor in record["executors"]),
        "",
    ]


def _row(executor: dict[str, Any]) -> list[str]:
    driver = [f"{_figure(row['driver'])} ms" for row in executor["rows"]]
    return [
        NAMES[executor["executor"]],
        *driver,
        f"{_figure(executor['rows'][-1]['clock'])} ms",
        f"{executor['starting']:.1f} s",
    ]


def _figure(spread: dict[str, float]) -> str:
    if spread["min"] == spread["max"]:
        return f"{spread['median']:.3g}"
    return f"{spread['median']:.3g} ({spread['min']:.3g}-{spread['max']:.3g})"
