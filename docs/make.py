"""Write the generated pages of the documentation: API, frameworks, gallery, "Coming from other libraries", benchmarks.

python docs/make.py            # all pages, and the pictures of the gallery, of the choices and of the papers
python docs/make.py --check    # name the pages that are out of date; exit 1 if there are any
"""

import argparse
import inspect
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

DOCS = Path(__file__).parent
ROOT = DOCS.parent
PICTURES = DOCS / "images" / "gallery"
CHOICE_PICTURES = DOCS / "images" / "choice"
PAPER_PICTURES = DOCS / "images" / "papers"
sys.path[:0] = [str(ROOT / "tests" / "schedules"), str(ROOT), str(DOCS)]

import api_pages  # noqa: E402

import learnrate as lr  # noqa: E402
from learnrate.schedules.vocabulary import RUNS, SCHEDULES  # noqa: E402


def smoothstep(p):  # noqa: ANN001, ANN201
    """A shape for the picture of `custom`."""
    return p * p * (3 - 2 * p)


GALLERY: dict[str, dict[str, str]] = {
    "Ramps": {
        "linear": "linear(0.1, 0.0, 1000)",
        "cosine": "cosine(0.1, 0.0, 1000)",
        "polynomial": "polynomial(0.1, 0.0, 1000, power=2)",
        "exponential": "exponential(0.1, 0.001, 1000)",
        "one_minus_sqrt": "one_minus_sqrt(0.1, 0.0, 1000)",
        "rex": "rex(0.1, 0.0, 1000)",
        "tanh": "tanh(0.1, 0.0, 1000)",
        "sigmoid": "sigmoid(0.1, 0.0, 1000)",
        "custom": "custom(0.1, 0.0, smoothstep, 1000)",
        "constant": "constant(0.1, 1000)",
    },
    "Warm-up": {
        "warmup": "warmup(0.1, 300) >> constant(0.1, 700)",
        "warmup, cosine": 'warmup(0.1, 300, shape="cosine") >> constant(0.1, 700)',
        "warmup, exponential": 'warmup(0.1, 300, start=1e-4, shape="exponential") >> constant(0.1, 700)',
        "warmup, constant": 'warmup(0.1, 300, start=0.01, shape="constant") >> constant(0.1, 700)',
    },
    "Decays": {
        "inverse_time": "inverse_time(0.1, decay=0.01)",
        "time_based": "time_based(0.1, decay=1e-5)",
        "exponential_decay": "exponential_decay(0.1, rate=0.5, every=200)",
        "exponential_decay, staircase": "exponential_decay(0.1, rate=0.5, every=200).staircase(200)",
        "natural_exp_decay": "natural_exp_decay(0.1, decay=0.005)",
        "step_decay": "step_decay(0.1, factor=0.5, every=200)",
        "multistep": "multistep(0.1, factor=0.1, milestones=(500, 750))",
        "piecewise_constant": "piecewise_constant((0.02, 0.1, 0.05), milestones=(200, 700))",
        "switch": "switch((cosine(0.1, 0, 1000), linear(0.1, 0, 1000)), milestones=(400,))",
        "inverse_sqrt": "inverse_sqrt(0.1, timescale=50)",
        "inverse_sqrt, k / sqrt(epoch)": "inverse_sqrt(0.1, timescale=100).staircase(100)",
        "noam": "noam(d_model=512, warmup=200)",
        "sigmoid_decay": "sigmoid_decay(0.1, gamma=0.02, midpoint=500)",
        "function": "function(halving_each_hundred)",
    },
    "Cycles": {
        "triangular": "triangular(0.01, 0.1, step_size=100)",
        "triangular2": "triangular2(0.01, 0.1, step_size=100)",
        "exp_range": "exp_range(0.01, 0.1, step_size=100, gamma=0.998)",
        "exp_range, the paper's form": 'exp_range(0.01, 0.1, step_size=100, gamma=0.998, shrinks="bounds")',
        "cyclical, Welch window": 'cyclical(0.01, 0.1, step_size=100, window="welch")',
        "cyclical, Hann window": 'cyclical(0.01, 0.1, step_size=100, window="hann")',
        "cyclical, two lengths": 'cyclical(0.01, 0.1, 50, 150, envelope="gamma per cycle", gamma=0.7)',
        "decay": "decay(0.01, 0.1, step_size=500)",
        "warm_restarts": "warm_restarts(0.1, period=140, growth=2, cycles=3)",
        "warm_restarts, warm-up and decay": "warm_restarts(0.1, period=200, warmup=40, decay=0.7, cycles=5)",
        "one_cycle": "one_cycle(0.1, 1000)",
        "one_cycle, the paper's numbers": "one_cycle.paper(0.1, 1000)",
    },
    "Whole runs": {
        "wsd": "wsd(0.1, 1000)",
        "trapezoid": "trapezoid(0.1, 1000)",
        "linear_to_zero": "linear_to_zero(0.1, 1000)",
        "knee": "knee(0.1, 1000)",
    },
    "Combinators": {
        ">>": "warmup(0.1, 200) >> cosine(0.1, 0.02, 400) >> linear(0.02, 0.0, 400)",
        "* number": "triangular(0.01, 0.1, 100, cycles=5) * 0.5",
        "* schedule": "triangular(0.01, 0.1, 100, cycles=5) * linear(1.0, 0.0, 1000)",
        "+ schedule": "triangular(0.01, 0.05, 100, cycles=5) + linear(0.05, 0.0, 1000)",
        "repeat": "one_minus_sqrt(0.1, 0.0, 140).repeat(3, length_growth=2, value_decay=0.7)",
        "clip": "exponential_decay(0.2, 0.5, every=200).clip(low=0.02, high=0.1)",
        "mirrored": "one_cycle(0.1, 1000).mirrored(0.85, 0.95)",
        "staircase": "cosine(0.1, 0.0, 1000).staircase(100)",
        "rebase": "cosine(0.1, 0.0, 700).rebase(at=300, new_length=1000)",
        "shift": "cosine(0.1, 0.0, 700).shift(300)",
    },
}


def halving_each_hundred(n):  # noqa: ANN001, ANN201
    """A function of the count for the picture of `function`."""
    return 0.1 * 0.5 ** (n // 100)


NAMES = {
    **{name: getattr(lr, name) for name in lr.__all__},
    "smoothstep": smoothstep,
    "halving_each_hundred": halving_each_hundred,
}
GENERATED = "<!-- Written by docs/make.py. -->\n"


def picture_name(title: str) -> str:
    """File name of the picture of an entry."""
    words = {">>": "then", "* number": "times-number", "* schedule": "times-schedule", "+ schedule": "plus-schedule"}.get(
        title, title
    )
    return "".join(c if c.isalnum() or c == "_" else "-" for c in words.lower()).replace("--", "-").strip("-") + ".png"


def summary(title: str) -> str:
    """First paragraph of the docstring."""
    name = title.split(",")[0]
    operators = {
        ">>": "One schedule after the other; each counts from 0.",
        "* number": "Every value times a number.",
        "* schedule": "The product of two schedules.",
        "+ schedule": "The sum of two schedules.",
    }
    if title in operators:
        return operators[title]
    documented = SCHEDULES.get(name) or RUNS.get(name) or getattr(lr.Schedule, name)
    return (inspect.getdoc(documented) or "").split("\n\n")[0].replace("\n", " ").replace("*", r"\*")


def place_of(title: str) -> str:
    """Where the API describes an entry."""
    name = title.split(",")[0]
    if name in SCHEDULES or name in RUNS:
        return f"api/schedules.md#{name}"
    return "api/schedule.md#learnrate.schedules.base.Schedule" + (f".{name}" if name.isidentifier() else "")


def gallery() -> str:
    """The page with a picture of every schedule."""
    lines = [GENERATED + "# Gallery of schedules", ""]
    lines += [
        "Every schedule, drawn over 1,000 updates; its name links to its arguments.",
        "",
    ]
    for section, entries in GALLERY.items():
        lines += [f"## {section}", "", "| | |", "|---|---|"]
        for title, expression in entries.items():
            picture = f"![{title}](images/gallery/{picture_name(title)})"
            lines.append(f"| **[`{title}`]({place_of(title)})**<br>{summary(title)}<br>`{expression}` | {picture} |")
        lines.append("")
    return "\n".join(lines)


def draw_gallery() -> None:
    """The pictures of the gallery."""
    from learnrate import figures
    from learnrate.schedules.figure import draw_schedule

    PICTURES.mkdir(parents=True, exist_ok=True)
    for entries in GALLERY.values():
        for title, expression in entries.items():
            figure, (ax,) = figures.new_figure(4.6, 1.9)
            figure.set_dpi(80)
            schedule = eval(expression, dict(NAMES))
            draw_schedule(schedule, 1000, ax)
            ax.set_title("", loc="left")
            ax.set(xlabel="", ylabel="momentum" if title == "mirrored" else "")
            figures.save(figure, PICTURES / picture_name(title))


def coming_from() -> str:
    """The page with the calls of other libraries and the learnrate expressions."""
    from parity_table import DOCUMENTED, REACTING, TABLE

    lines = [GENERATED + "# Coming from torch, optax, Keras, timm, Transformers, fastai or Caffe", ""]
    lines += [
        "Each row has a call of another library and the learnrate expression with the same values. Both use the same names;",
        "`lr` is the LR that the optimizer was built with.",
        "`tests/schedules/test_parity.py` evaluates both for every row of the first five tables over whole runs with random",
        "settings, and requires equality to nine digits (timm with `t_in_epochs=False`). The tests do not install fastai",
        "and Caffe; they check the policies of Caffe against its formulas.",
        "",
        "A schedule is a function of the update count: `schedule(n)`. To drive a torch optimizer with it, use",
        "`learnrate.torch.Scheduler(optimizer, schedule)` or `learnrate.torch.attach(optimizer, lr=schedule)`;",
        "the optimizers of optax accept `schedule` itself.",
        "",
    ]
    for peer, rows in TABLE.items():
        lines += [f"## {peer}", "", f"| {peer} | learnrate | |", "|---|---|---|"]
        lines += [f"| {_code(row.theirs)} | {_code(row.ours)} | {row.note} |" for row in rows]
        if peer in REACTING:
            names = ", ".join(f"`{name}`" for name in sorted(REACTING[peer]))
            lines += [
                "",
                f"Not in the table: {names}. A scheduler that reacts to the loss is not a function of the update count.",
            ]
        lines.append("")
    for peer, pairs in DOCUMENTED.items():
        lines += [f"## {peer}", "", f"| {peer} | learnrate |", "|---|---|"]
        lines += [f"| {_code(theirs)} | {_code(ours)} |" for theirs, ours in pairs.items()]
        lines.append("")
    return "\n".join(lines)


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|")


def within_the_site(text: str) -> str:
    """A page whose links to files outside docs/, which are no part of the site, are names of the files instead."""
    return re.sub(r"\[[^]]+\]\(\.\./([^)]+)\)", r"`\1`", text)


def benchmarks() -> str:
    """The page of measurements."""
    from benchmarks import page

    return GENERATED + within_the_site("\n".join(page.text()))


def choice() -> str:
    """The page on how well finders choose."""
    from benchmarks.choice import page, results

    return GENERATED + within_the_site("\n".join(page.text(results.read())))


def carry() -> str:
    """The page on how far an LR carries."""
    from benchmarks.carry import page
    from benchmarks.carry.store import Records

    return GENERATED + within_the_site("\n".join(page.text(Records())))


def draw_choice() -> list[Path]:
    """Its pictures: those whose records have changed."""
    from benchmarks.choice import pictures, results

    return pictures.draw(results.read(), CHOICE_PICTURES)


def frameworks() -> str:
    """The table of frameworks and features."""
    from tests.frameworks import page

    return GENERATED + "\n".join(page.text())


def written_by(page: Callable[[], Iterable[str]]) -> Callable[[], str]:
    """A generator of lines as a page."""
    return lambda: GENERATED + "\n".join(page()).rstrip("\n")


def guard_results() -> str:
    """The page on what a guard saves and costs."""
    from benchmarks import guard_page

    return GENERATED + within_the_site("\n".join(guard_page.text()))


def families() -> str:
    """The worked example of a comparison."""
    from benchmarks import families_page

    return GENERATED + within_the_site("\n".join(families_page.text()))


def scale() -> str:
    """The page on what a large study costs."""
    from benchmarks import scale_page

    return GENERATED + within_the_site("\n".join(scale_page.text()))


def papers() -> str:
    """The page on the papers' experiments."""
    from benchmarks.papers.report import page

    return GENERATED + within_the_site("\n".join(page.text()).rstrip())


def draw_papers() -> list[Path]:
    """Its pictures: those whose records have changed."""
    from benchmarks.papers.report import pictures, results

    return pictures.draw_all(results.read(), PAPER_PICTURES)


PAGES = {
    **{name: written_by(page) for name, page in api_pages.pages().items()},
    "frameworks.md": frameworks,
    "gallery.md": gallery,
    "coming-from.md": coming_from,
    "benchmarks.md": benchmarks,
    "choice.md": choice,
    "carry.md": carry,
    "guard-results.md": guard_results,
    "families.md": families,
    "scale.md": scale,
    "papers.md": papers,
}


def main() -> int:
    """Write the pages, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare only")
    check = parser.parse_args().check
    pages = {name: page() + "\n" for name, page in PAGES.items()}
    stale = [name for name, text in pages.items() if not (DOCS / name).exists() or (DOCS / name).read_text() != text]
    if check:
        print("\n".join(f"docs/{name} is out of date: run docs/make.py" for name in stale) or "all pages are up to date")
        return 1 if stale else 0
    for name in stale:
        (DOCS / name).parent.mkdir(exist_ok=True)
        (DOCS / name).write_text(pages[name])
    draw_gallery()
    drawn = sum(map(len, GALLERY.values())) + len(draw_choice()) + len(draw_papers())
    print(f"written: {', '.join(stale) or 'nothing new'}; drawn: {drawn} pictures")
    return 0


if __name__ == "__main__":
    sys.exit(main())
