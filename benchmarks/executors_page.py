"""The section of docs/benchmarks.md on executors, from the record of executors.py."""

from typing import Any

NAMES = {
    "here": "one after the other, here",
    "processes": "processes",
    "dask": "Dask, a cluster on this machine",
    "ray": "Ray, a cluster on this machine",
}


def section(record: dict[str, Any]) -> list[str]:
    """Its lines."""
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    columns = [row["runs"] for row in record["executors"][0]["rows"]]
    head = ["executor", "start, s", *(f"{runs:,} runs" for runs in columns), f"driver, {columns[-1]:,} runs"]
    return [
        "## What an executor costs a run",
        "",
        f"Measured by `python benchmarks/executors.py` on {record['hardware']['processor']}",
        f"({record['hardware']['cores']} cores); {versions}.",
        f"Studies whose runs do nothing, with {record['workers']} workers: milliseconds a run by the clock, and in the last",
        "column milliseconds of the processor in the process of the driver, median and range of",
        f"{record['rounds']} rounds. The scheduler of a Dask cluster on this machine is a part of that process, the head of",
        "Ray is not. The start is the time until the first runs have ended.",
        "The record: [benchmarks/results/executors.json](../benchmarks/results/executors.json).",
        "",
        "| " + " | ".join(head) + " |",
        "|---" + "|---:" * (len(head) - 1) + "|",
        *("| " + " | ".join(_row(each)) + " |" for each in record["executors"]),
        "",
    ]


def _row(each: dict[str, Any]) -> list[str]:
    clock = [f"{_figure(row['clock'])} ms" for row in each["rows"]]
    return [NAMES[each["executor"]], f"{each['starting']:.1f}", *clock, f"{_figure(each['rows'][-1]['driver'])} ms"]


def _figure(spread: dict[str, float]) -> str:
    return f"{spread['median']:.3g} ({spread['min']:.3g}-{spread['max']:.3g})"
