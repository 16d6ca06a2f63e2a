"""The pages of the API: every public name, where it is defined, for mkdocstrings to read its docstring.

The names are read from the sources and nothing of a framework is imported, so that the pages need no framework.
"""

import ast
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

import learnrate as lr
from learnrate.schedules.vocabulary import NAMES

SOURCES = Path(lr.__file__).parent.parent

ROOMS = {
    "torch": ("PyTorch", "with-torch.md"),
    "torch.optimizers": ("Optimizers", "optimizers.md"),
    "jax": ("JAX and optax", "with-jax.md"),
    "keras": ("Keras", "with-keras.md"),
    "lightning": ("Lightning", "with-lightning.md"),
    "transformers": ("Transformers", "with-transformers.md"),
    "accelerate": ("Accelerate", "with-accelerate.md"),
    "control": ("Control", ""),
    "logs": ("Logs", ""),
    "study": ("Study", "comparing.md"),
    "study.executors": ("Executors", "executors.md"),
}
"""Modules with a page of their own, and the guide to each."""

CORE = {
    "schedule": (
        "Schedule, text and lengths",
        ("Schedule", "Horizon", "parse", "linear_scaling", "sqrt_scaling", "inverse_sqrt_scaling"),
    ),
    "finder": ("Range test", ("range_test", "Curve", "Bounds", "NoAnswer")),
    "tuner": ("Tuning", ("tune", "Plan", "probe", "Probe", "Trainable")),
    "record": ("The record of a run", ("Record",)),
}
"""Pages of names of `learnrate` itself."""

GROUPS = {
    "ramps": "Ramps and warm-ups",
    "decays": "Decays",
    "stairs": "Steps",
    "cycles": "Cycles",
    "restarts": "Warm restarts",
    "onecycle": "One cycle",
    "runs": "Whole runs",
    "switching": "A schedule that was replaced",
    "custom": "Functions of your own",
}
"""Schedules by the module that defines them."""


RULES = {
    "rules": (
        "A rule reads bounds off a curve: `curve.bounds(lr.rules.valley)`.",
        None,
    ),
    "stops": (
        "A stop rule ends a range test before its last update: `lr.range_test(step, stop=lr.stops.above_best(4))`.",
        ("diverged", "above_best", "no_progress"),
    ),
}
"""Modules of the finder that are public as they are: what they hold, and their names if they state none."""


@cache
def tree(module: str) -> ast.Module:
    """The source of a module, parsed."""
    path = SOURCES.joinpath(*module.split("."))
    return ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text())


def public(module: str) -> tuple[str, ...]:
    """The names in the `__all__` of a module."""
    for node in tree(module).body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            return tuple(ast.literal_eval(node.value))
    raise LookupError(f"{module} has no __all__")


def defined(module: str, name: str) -> tuple[str, str]:
    """The module that defines a name, and the name there: imports are followed."""
    body = tree(module).body
    for node in [*body, *(inner for outer in body if isinstance(outer, ast.If) for inner in outer.body)]:
        if isinstance(node, ast.ImportFrom) and node.module:
            for imported in node.names:
                if (imported.asname or imported.name) == name and node.module.startswith("learnrate"):
                    return defined(node.module, imported.name)
    return module, name


def summary(module: str, name: str) -> str:
    """The first sentence about a name; of a class, a function, or a value with a docstring below it."""
    where, defined_name = defined(module, name)
    body = tree(where).body
    for place, node in enumerate(body):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == defined_name:
            return _first_paragraph(ast.get_docstring(node) or "")
        if isinstance(node, ast.Assign | ast.AnnAssign) and defined_name in ast.unparse(node).split("=")[0].split(":")[0]:
            after = body[place + 1] if place + 1 < len(body) else None
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                return _first_paragraph(str(after.value.value))
    if (where, defined_name) != (module, name) or not name.islower():
        return ""
    return _first_paragraph(ast.get_docstring(tree(f"{module}.{name}")) or "")


def _first_paragraph(text: str) -> str:
    return inspect.cleandoc(text).split("\n\n")[0].replace("\n", " ")


def signature(name: str) -> str:
    """How a schedule is called."""
    call = inspect.signature(getattr(lr, name)).replace(return_annotation=inspect.Signature.empty)
    modules = r"\b(learnrate\.schedules\.base|collections\.abc|typing)\."
    shown = [re.sub(modules, "", str(parameter)) for parameter in call.parameters.values()]
    if any(parameter.kind is parameter.KEYWORD_ONLY for parameter in call.parameters.values()):
        shown.insert([parameter.kind for parameter in call.parameters.values()].index(inspect.Parameter.KEYWORD_ONLY), "*")
    line = f"lr.{name}({', '.join(shown)})"
    return line if len(line) <= 80 else f"lr.{name}(\n" + "".join(f"    {parameter},\n" for parameter in shown) + ")"


def entry(module: str, name: str, heading: str = "") -> list[str]:
    """The lines of one name, of which mkdocstrings makes its heading, signature and docstring."""
    where, defined_name = defined(module, name)
    options = [f"heading: {heading or written(module, name)}", f"toc_label: {name}"]
    return [f"::: {where}.{defined_name}", "    options:", *(f"        {option}" for option in options), ""]


def written(module: str, name: str) -> str:
    """A name as a user writes it after `import learnrate as lr`."""
    return f"{module}.{name}" if module.startswith("learnrate.study") else f"{module.replace('learnrate', 'lr', 1)}.{name}"


def schedules() -> Iterator[str]:
    """The page of all schedules, by group."""
    yield from [
        "# Schedules",
        "",
        "Every schedule is a [`lr.Schedule`](schedule.md). The [gallery](../gallery.md) draws each.",
        "",
    ]
    for module, title in GROUPS.items():
        yield from [f"## {title}", ""]
        for name in importlib.import_module(f"learnrate.schedules.{module}").__all__:
            yield from [
                f'### lr.{name} {{ #{name} data-toc-label="{name}" }}',
                "",
                "```{ .py .no-copy }",
                signature(name),
                "```",
                "",
            ]
            yield from [
                f"::: learnrate.schedules.{module}.{name}",
                "    options:",
                *(
                    f"        {option}: false"
                    for option in ("show_root_heading", "show_root_toc_entry", "show_signature", "members")
                ),
                "        heading_level: 4",
                "",
            ]


def core(page: str) -> Iterator[str]:
    """A page of names of `learnrate` itself."""
    title, names = CORE[page]
    yield from [f"# {title}", ""]
    for name in names:
        yield from entry("learnrate", name)
    if page == "finder":
        for module, (text, names) in RULES.items():
            yield from [f"## lr.{module}", "", text, ""]
            for name in names or public(f"learnrate.finder.{module}"):
                yield from entry(f"learnrate.finder.{module}", name, f"lr.{module}.{name}")


def room(module: str) -> Iterator[str]:
    """The page of a module that is imported on first use."""
    title, guide = ROOMS[module]
    yield from [f"# {written(f'learnrate.{module}', '').removesuffix('.')}: {title}", ""]
    text = ast.get_docstring(tree(f"learnrate.{module}")) or ""
    yield from [text + (f" The guide: [{title}](../{guide})." if guide else ""), ""]
    for name in public(f"learnrate.{module}"):
        yield from entry(f"learnrate.{module}", name)


def error_page() -> Iterator[str]:
    """The page of errors and warnings."""
    yield from ["# Errors and warnings", "", "All of them are in `lr.errors`.", ""]
    classes = [node for node in tree("learnrate.errors").body if isinstance(node, ast.ClassDef)]
    tree_of_errors = (ast.get_docstring(tree("learnrate.errors")) or "").split("\n\n")
    yield from ["```", *inspect.cleandoc(tree_of_errors[1]).splitlines(), "```", "", *tree_of_errors[2:], ""]
    for node in classes:
        yield from entry("learnrate.errors", node.name)


def overview() -> Iterator[str]:
    """The page of all public names with a line about each."""
    yield from ["# All names", "", "What `import learnrate as lr` offers. Modules are imported on first use.", ""]
    rows = [_row("learnrate", name, f"{page}.md") for page, (_, names) in CORE.items() for name in names]
    yield from ["## Range test, tuning, schedules", "", *_table(rows)]
    for module, (text, names) in RULES.items():
        where = f"learnrate.finder.{module}"
        rows = [_row(where, name, "finder.md", f"lr.{module}.{name}") for name in names or public(where)]
        yield from [f"## lr.{module}", "", text, "", *_table(rows)]
    for module, (title, _) in ROOMS.items():
        where = f"learnrate.{module}"
        if names := public(where):
            yield from [f"## {written(where, '').removesuffix('.')}: {title}", ""]
            yield from _table([_row(where, name, f"{module}.md") for name in names])
    yield from ["## Schedules", ""]
    about = {name: _first_paragraph(inspect.getdoc(getattr(lr, name)) or "") for name in NAMES}
    yield from _table([(f"lr.{name}", f"schedules.md#{name}", text) for name, text in about.items()])


def _row(module: str, name: str, page: str, shown: str = "") -> tuple[str, str, str]:
    """A name as it is shown, the place that describes it, and a line about it."""
    return shown or written(module, name), f"{page}#{'.'.join(defined(module, name))}", summary(module, name)


def _table(rows: list[tuple[str, str, str]]) -> Iterator[str]:
    yield from ["| name | |", "|---|---|"]
    for shown, place, text in rows:
        escaped = text.replace("|", "\\|").replace("*", "\\*")
        yield f"| [`{shown}`]({place}) | {escaped} |"
    yield ""


def pages() -> dict[str, Callable[[], Iterator[str]]]:
    """The pages by their path below docs/."""
    return {
        "api/index.md": overview,
        "api/schedules.md": schedules,
        **{f"api/{page}.md": partial(core, page) for page in CORE},
        **{f"api/{module}.md": partial(room, module) for module in ROOMS},
        "api/errors.md": error_page,
    }
