"""The section of docs/benchmarks.md on ESGD and AdaSecant."""

from typing import Any


def section(record: dict[str, Any]) -> list[str]:
    """Its lines, from the record."""
    machine, rounds = record["hardware"], record["rounds"]
    lines = [
        "## ESGD and AdaSecant",
        "",
        f"Measured by `python benchmarks/optimizers.py` on {machine['processor']} ({machine['cores']} cores, shared with",
        "other work at the time; one thread, its processor time); "
        + ", ".join(f"{n} {v}" for n, v in record["versions"].items())
        + ".",
        f"Ratios are taken within a round; median and range of {rounds} rounds, after one that is not counted.",
        "The record: [benchmarks/results/optimizers.json](../benchmarks/results/optimizers.json).",
        "",
        "`optimizer.step()` alone, over that of `torch.optim.Adam(foreach=True)`:",
        "",
        "| | " + " | ".join(f"{model}: Adam's step" for model in record["weights"]) + " |",
        "|---|---|---|",
    ]
    adam = {row["model"]: row["milliseconds"]["adam"] for row in record["steps"]}
    lines.append("| milliseconds | " + " | ".join(f"{adam[model]:.1f}" for model in record["weights"]) + " |")
    for name in dict.fromkeys(row["optimizer"] for row in record["steps"]):
        cells = [_ratio(row["ratio"]) for row in record["steps"] if row["optimizer"] == name]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "",
        f"A whole update of ESGD with a Hessian product (batch {record['batch']}, four linear layers) over one without, and",
        "the mean where one update in 20 has one:",
        "",
        "| | with a product | one in 20 |",
        "|---|---|---|",
    ]
    for row in record["products"]:
        lines.append(f"| {row['model']} | {_ratio(row['ratio'])} | {_ratio(row['ratio_every_20'])} |")
    return [*lines, ""]


def _ratio(spread: dict[str, float]) -> str:
    return f"{spread['median']:.2f} ({spread['min']:.2f} to {spread['max']:.2f})"
