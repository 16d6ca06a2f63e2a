"""The page docs/benchmarks.md, from the records of the benchmarks: none of its numbers is written by hand."""

import json
import statistics
from pathlib import Path

from benchmarks import controllers_page, executors_page, optimizers_page, until_sure_page

RESULTS = Path(__file__).parent / "results"


def record_of(name: str) -> dict:
    """What a benchmark wrote."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def measured(record: dict, command: str) -> list[str]:
    """Hardware, versions and method."""
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    name = record["benchmark"]
    return [
        f"Measured by `{command}` on {record['hardware']['processor']} ({record['hardware']['cores']} cores, one thread",
        f"used); {versions}.",
        f"Ratios are taken within a round; median and range of {record['rounds']} rounds, after one that is not counted.",
        f"The record: [benchmarks/results/{name}.json](../benchmarks/results/{name}.json).",
        "",
    ]


def text() -> list[str]:
    """The lines of the page."""
    record = record_of("schedules")
    lines = ["# Benchmarks", "", *measured(record, "make bench")]
    for table in record["tables"]:
        lines += [f"## {table['title']}", "", table["what"], ""]
        lines += ["| | ours | theirs | ratio (range) | target | |", "|---|---|---|---|---|---|"]
        for row in table["rows"]:
            reached = "" if not row["target"] else _reached(row)
            lines.append(
                f"| {row['name']} | {row['ours']} | {row['theirs']} | {_ratio(row['ratio'])} | {row['target']} | {reached} |"
            )
        lines.append("")
    reacting = live_page() + recording() + actions() + controllers_page.section(record_of("controllers"))
    comparing = until_sure_page.section(record_of("until_sure")) + executors_page.section(record_of("executors"))
    optimizers = optimizers_page.section(record_of("optimizers"))
    before = lines + range_tests() + long_curves() + tuning() + trials() + adapters()
    return before + reacting + comparing + optimizers + on_a_gpu()


def range_tests() -> list[str]:
    """The section on range tests."""
    record = record_of("range_test")
    models = record["models"]
    lines = ["## Range test", "", *measured(record, "make bench-range-test")]
    lines += [
        f"A whole range test of {record['updates']} updates, restoring included, over the bare loop of the same updates,",
        "which changes no LR: the same model, SGD with momentum, and the same `DataLoader` of batches that were collated in",
        "advance. Early stopping, progress bars, logging and suggestions are off; Lightning's trainer and fastai's learner",
        "are created outside the timing.",
        "",
        "| | " + " | ".join(f"{m['what']}: {m['update_ms']['median']:.2f} ms an update" for m in models) + " |",
        "|---" * (len(models) + 1) + "|",
    ]
    for name in models[0]["ratios"]:
        lines.append(f"| {name} | " + " | ".join(_ratio(m["ratios"][name], 3) for m in models) + " |")
    lines.append("| target of learnrate | " + " | ".join(f"at most {m['target']}: {_reached(m)}" for m in models) + " |")
    used = record["memory"]
    if used is not None:
        lines += [
            "",
            f"Memory, as multiples of the state ({used['state_mib']:.0f} MiB of weights and AdamW's moments): at its peak a",
            f"range test takes {used['range_test']:.2f} more than the bare loop;",
            f"`torch.preserve` alone takes {used['preserve']:.2f}.",
        ]
    return [*lines, ""]


def long_curves() -> list[str]:
    """The section on curves of many updates."""
    record = record_of("long_curves")
    parts, targets = record["seconds"], record["targets"]
    return [
        "## A long curve",
        "",
        *measured(record, "make bench-long-curves"),
        f"A new curve of {record['points']:,} updates: what each part takes, and the size of the page.",
        "",
        "| | seconds (range) |",
        "|---|---|",
        *(f"| `{name}` | {_ratio(parts[name])} |" for name in ("bounds", "plot", "to_html")),
        f"| all three, at most {targets['seconds']:.0f} | {_ratio(parts['together'])} |",
        "",
        f"The page has {record['megabytes']} MB, at most {targets['megabytes']:.0f}: {_reached(record)}.",
        "",
    ]


def tuning() -> list[str]:
    """The section on the overhead of tuning."""
    record = record_of("tune")
    lines = ["## Tuning", "", *measured(record, "make bench-tune")]
    lines += [
        f"Time per update of `torch.tune` for a run of {record['updates']} updates (range test, trials, estimate, restore),",
        "as a multiple of that of a bare training loop: the same model, SGD with momentum, one list of batches for both.",
        "",
        "| | bare loop, per update | ratio (range) | target | |",
        "|---|---|---|---|---|",
    ]
    for model in record["models"]:
        row = (
            model["what"],
            f"{model['update_ms']['median']:.2f} ms",
            _ratio(model["ratio"], 3),
            f"at most {model['target']}",
        )
        lines.append(f"| {' | '.join(row)} | {_reached(model)} |")
    return [*lines, ""]


def trials() -> list[str]:
    """The section on trials as one batch, on a CPU."""
    record = record_of("trials")
    return [
        "## Trials as one batch",
        "",
        f"Trials of {record['updates']} updates, SGD with momentum, one thread: as one batch (`torch.func.vmap`, an",
        "optimizer each) over the same trials one after the other, and over a single trial. Below 1 the batch is faster;",
        "the last column is what `tune(together=None)` chooses.",
        "",
        *measured(record, "make bench-trials"),
        *trials_table(record["models"]),
    ]


def trials_table(models: list[dict]) -> list[str]:
    """A row for each model and number of trials."""
    lines = ["| | trials | over one after the other | over a single trial | chosen |", "|---|---:|---|---|---|"]
    for model in models:
        for row in model["rows"]:
            chosen = "as one batch" if row["chosen"] else "one after the other"
            figures = f"{_ratio(row['over_one_by_one'])} | {_ratio(row['over_one_trial'])}"
            lines.append(f"| {model['what']} | {row['trials']} | {figures} | {chosen} |")
    return [*lines, ""]


def recording() -> list[str]:
    """The section on the record of a run."""
    if not (RESULTS / "record.json").exists():
        return []
    record = record_of("record")
    long = record["long"]
    machine = record["hardware"]
    lines = [
        "## The record of a run",
        "",
        f"Measured by `python benchmarks/record.py` on {machine['processor']} ({machine['cores']} cores, shared with other",
        "work at the time); " + ", ".join(f"{name} {number}" for name, number in record["versions"].items()) + ".",
        "The record: [benchmarks/results/record.json](../benchmarks/results/record.json).",
        "",
        "What `record=PATH` costs at each update: microseconds in the thread that trains (median, and what nine of ten",
        "calls lie within), and microseconds of processor time in the thread that writes (median and range of",
        f"{record['rounds']} runs).",
        "Between the calls the training thread computes, so that caches do not hold what the call needs.",
        "",
        "| | | training thread | target | | writing thread |",
        "|---|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        target = f"at most {record['targets']['microseconds']:.0f} | {_reached(row)}"
        cells = [row["form"], row["update"], _ratio(row["microseconds"], 1), target, _ratio(row["writer_microseconds"], 1)]
        lines.append(f"| {' | '.join(cells)} |")
    parts = long["seconds"]
    lines += [
        "",
        f"A record of {long['updates']:,} updates has {long['megabytes']:.0f} MB, its page {long['page_megabytes']:.1f} MB.",
        f"Seconds of processor time: {_ratio(parts['load'])} to read it, {_ratio(parts['schedule'])} for the schedule",
        f"that was used and the check of every LR against it, {_ratio(parts['to_html'])} to read it and write its page.",
    ]
    return [*lines, ""]


def live_page() -> list[str]:
    """The section on the live page."""
    if not (RESULTS / "live.json").exists():
        return []
    record = record_of("live")
    machine = record["hardware"]
    lines = [
        "## The live page",
        "",
        f"Measured by `python benchmarks/live.py` on {machine['processor']} ({machine['cores']} cores,",
        f"load {max(record['load']):.0f}); "
        + ", ".join(f"{name} {number}" for name, number in record["versions"].items())
        + ".",
        "The record: [benchmarks/results/live.json](../benchmarks/results/live.json).",
        "",
        f"A training whose update takes 5 ms on the machine alone, {100 * record['python']:.0f} % of it a loop of Python",
        f"and the rest in NumPy, with one page open, and with {record['broken_clients']} broken clients beside it, which",
        "are silent, stop in the middle, do not read, or come again and again. The page is switched off and on within one",
        f"process, in blocks of {record['updates']} updates: off, on, on, off. Ratio of the times of an update, on over",
        f"off: median of {record['rounds']} such rounds, with the 95 % interval of the median. The second ratio leaves out",
        "the time in which other processes had the cores. Waits: the share of the time in which the training waited for",
        "the interpreter's lock, with the page and without it. The share of a core is the processor time of the thread",
        "that serves.",
        "",
        "| | share of a core | wake-ups a second | waits (without) | ratio by the clock | ratio without others | target | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    titles = {"page": "one page open", "broken": f"and {record['broken_clients']} broken clients"}
    for name, title in titles.items():
        figures = record["figures"][name]
        clock, own = (figures[key]["ratio"] for key in ("clock", "own"))
        cells = [f"{ratio['median']:.3f} ({ratio['low']:.3f} to {ratio['high']:.3f})" for ratio in (clock, own)]
        share, wakes = 100 * figures["share_of_a_core"], figures["wake_ups_a_second"]
        on, off = (100 * figures["waits"][state]["median"] for state in ("on", "off"))
        verdict = {"met": "reached", "missed": "**not reached**"}.get(figures["own"]["reached"], "undecided")
        target = f"at most {record['target']:.2f}"
        cells = [f"{share:.2f} %", f"{wakes:.0f}", f"{on:.2f} ({off:.2f}) %", *cells]
        lines.append(f"| {title} | {' | '.join(cells)} | {target} | {verdict} |")
    return [*lines, ""]


def actions() -> list[str]:
    """The section on what an action costs after many others."""
    if not (RESULTS / "events.json").exists():
        return []
    record = record_of("events")
    machine = record["hardware"]
    lines = [
        "## Actions of controllers",
        "",
        f"Measured by `python -m benchmarks.events` on {machine['processor']} ({machine['cores']} cores, shared with other",
        "work at the time); " + ", ".join(f"{name} {number}" for name, number in record["versions"].items()) + ".",
        "The record: [benchmarks/results/events.json](../benchmarks/results/events.json).",
        "",
        "Microseconds of processor time of an update at which a controller changes the LR, and at which the program follows",
        f"another schedule too, after earlier actions: medians of {record['actions']} updates, median and range of",
        f"{record['rounds']} rounds. The composed schedule does not cost more the longer the run is steered.",
        "",
        "| | after 10 | after 1,000 | after 10,000 |",
        "|---|---|---|---|",
    ]
    for row in record["rows"]:
        what = "a new factor and a new schedule" if row["replaced"] else "a new factor"
        cells = " | ".join(_ratio(row["us"][earlier], 0) for earlier in ("10", "1000", "10000"))
        lines.append(f"| {row['way']}: {what} | {cells} |")
    return [*lines, ""]


ADAPTERS = {
    "jax": "JAX, optax.adam",
    "keras-torch": "Keras on torch",
    "keras-jax": "Keras on JAX",
    "lightning": "Lightning",
    "transformers": "Transformers",
}
"""Titles of the rows."""


def adapters() -> list[str]:
    """The section on tuning in place, and on the time of an update inside each trainer."""
    if not (RESULTS / "adapters.json").exists():
        return []
    records = {name: record for name, record in record_of("adapters").items() if name in ADAPTERS}
    lines = [
        "## Inside other trainers",
        "",
        "Measured by `python -m benchmarks.adapters`, each framework in a process of its own: a training run on real data",
        "at the LR that the trainer has by default, and the same run tuned in place. The score is on held-out data, higher",
        "is better: mean and range over the seeds. The cost of tuning is in neither run. An update is timed in the trainer",
        "with a schedule of ours and with one of its own: median and range of the ratio over the rounds.",
        "",
        "| | default LR | score | tuned LR | score | cost of tuning | update, ours over its own |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, title in ADAPTERS.items():
        if name not in records:
            continue
        default, tuned, overhead = (records[name][part] for part in ("default", "tuned", "overhead"))
        spent = sum(run["spent"] / run["updates"] for run in tuned) / len(tuned)
        milliseconds = 1000 * statistics.median(overhead["plain_seconds"])
        ratio = {"median": overhead["ratio"], "min": overhead["lowest_ratio"], "max": overhead["highest_ratio"]}
        cells = [title, _span_of(default, "lr", ".2g"), _mean_and_range(default)]
        cells += [_span_of(tuned, "lr", ".2g"), _mean_and_range(tuned), f"{100 * spent:.0f} % of the run"]
        lines.append("| " + " | ".join([*cells, f"{_ratio(ratio, 3)} of {milliseconds:.1f} ms"]) + " |")
    lines += ["", "The records, with versions: [benchmarks/results/adapters.json](../benchmarks/results/adapters.json).", ""]
    return lines


def _mean_and_range(runs: list[dict]) -> str:
    scores = [run["score"] for run in runs]
    return f"{statistics.mean(scores):.4g} ({min(scores):.4g} to {max(scores):.4g})"


def _span_of(runs: list[dict], key: str, digits: str) -> str:
    lowest, highest = (format(choice(run[key] for run in runs), digits) for choice in (min, max))
    return lowest if lowest == highest else f"{lowest} to {highest}"


def on_a_gpu() -> list[str]:
    """The section of measurements on a GPU, if there is a record."""
    if not (RESULTS / "gpu.json").exists():
        return []
    return gpu_section(record_of("gpu"))


def gpu_section(record: dict) -> list[str]:
    """A line for each part, and the table of trials."""
    machine, numbers = record["hardware"], record["versions"]
    lines = [
        "## On a GPU",
        "",
        f"Measured by `make bench-gpu` on {machine.get('accelerator', machine['processor'])}; "
        + ", ".join(f"{name} {number}" for name, number in numbers.items())
        + f"; median and range of {record['rounds']} rounds.",
        "The record: [benchmarks/results/gpu.json](../benchmarks/results/gpu.json).",
        "",
        "| | |",
        "|---|---|",
    ]
    for name, part in record["parts"].items():
        if part["status"] != "measured":
            lines.append(f"| {name} | {part['status']}: {part['reason']} |")
            continue
        lines += [f"| {what} | {figure} |" for what, figure in gpu_rows(name, part)]
    return [*lines, "", *trials_table(record["parts"]["trials"].get("models", []))]


def gpu_rows(name: str, part: dict) -> list[tuple[str, str]]:
    """The results of a part of the GPU record, by what was measured."""
    if name == "tests":
        return [("GPU tests", f"{part['passed']} passed, {len(part['failures'])} failed, {part['skipped']} skipped")]
    if name == "step":
        return [
            ("`Scheduler.step()` over an assignment", _ratio(part["scheduler"]["ratio"]["scheduler"])),
            ("`optimizer.step()` with `attach` over without", _ratio(part["attach"]["ratio"]["attached_step"], 3)),
        ]
    if name == "range_test":
        return [
            (f"range test over the bare loop, {what}", _ratio(model["ratio"]["range_test"], 3))
            for what, model in part["models"].items()
        ]
    if name == "memory":
        return [(f"peak memory over the state: {what}", f"{peak:.2f}") for what, peak in part["peak_over_state"].items()]
    if name == "cuda_graph":
        return [
            ("LRs of a captured update follow the schedule", "yes" if part["follows"] else "**no**"),
            ("replay and `Scheduler.step()` over replay", _ratio(part["ratio"]["driven"])),
        ]
    return []


def _ratio(ratio: dict[str, float], digits: int = 2) -> str:
    return f"{ratio['median']:.{digits}f} ({ratio['min']:.{digits}f} to {ratio['max']:.{digits}f})"


def _reached(row: dict) -> str:
    return "reached" if row["reached"] else "**not reached**"
