"""The register of schedules is complete, and everything that lists schedules agrees with it."""

import importlib
import inspect
import pkgutil
import re
from dataclasses import is_dataclass
from pathlib import Path

import pytest

import learnrate as lr
from learnrate.schedules import catalogue
from learnrate.schedules.base import Schedule
from learnrate.schedules.vocabulary import COMBINED, METHODS, NAMES, RUNS, SCHEDULES

MODULES = [
    importlib.import_module(f"learnrate.schedules.{module.name}") for module in pkgutil.iter_modules(lr.schedules.__path__)
]


def defined(kind):
    """Public objects of a kind, each in the module that defines it."""
    for module in MODULES:
        for name, value in vars(module).items():
            if isinstance(value, kind) and value.__module__ == module.__name__ and not name.startswith("_"):
                yield name, value


def test_every_class_of_schedules_is_registered():
    classes = {name: value for name, value in defined(type) if issubclass(value, Schedule) and is_dataclass(value)}
    assert classes == {**SCHEDULES, **COMBINED}


def test_every_function_that_builds_a_schedule_is_registered():
    functions = {name: value for name, value in defined(type(defined)) if value.__annotations__.get("return") is Schedule}
    reading, joining = ("from_json", "parse", "require_schedule", "as_schedule"), ("chained", "resolved_parts", "in_updates")
    for name in (*reading, *joining, "resumed", "rebased"):
        del functions[name]
    assert functions == RUNS


def test_every_method_that_returns_a_schedule_is_registered():
    returning = {
        name
        for name, method in vars(Schedule).items()
        if inspect.isfunction(method) and not name.startswith("_") and method.__annotations__["return"] in COMBINED
    }
    assert returning == {*METHODS}


def test_every_schedule_is_a_public_name():
    for name, schedule in {**SCHEDULES, **RUNS}.items():
        assert getattr(lr, name) is getattr(lr.schedules, name) is schedule
    assert {*NAMES} == {*SCHEDULES, *RUNS} <= {*lr.__all__} & {*dir(lr)}
    assert {*NAMES, *COMBINED} <= {*lr.schedules.__all__}


def test_type_checkers_see_every_schedule():
    """They follow the star imports of these modules, and do not run the code that computes a list of names."""
    for module in (catalogue, lr.schedules, lr):
        assert re.search(r"^from learnrate\.schedules\.\w+ import \*", inspect.getsource(module), re.MULTILINE)
    assert "__all__" not in vars(catalogue)


@pytest.mark.parametrize("file", ["strategies.py", "test_arrays.py", "test_golden.py"])
def test_the_tests_use_every_schedule(file):
    used = set(re.findall(r"\blr\.(\w+)", (Path(__file__).parent / file).read_text()))
    without_a_formula = {"constant", "custom", "function"}
    assert {*SCHEDULES} - used <= without_a_formula
    if file == "test_golden.py":
        assert {*RUNS} <= used
