"""What pyproject.toml promises: lower bounds that are tested, extras that are complete."""

import re
import tomllib
from pathlib import Path

import pytest

import learnrate as lr

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
FOR_USERS = (
    *("torch", "jax", "keras", "lightning", "transformers", "accelerate"),
    *("plots", "pages", "pandas", "cli", "live", "notebook", "demo"),
)


def required(requirements):
    """Name and lower bound of each requirement that is not an extra of learnrate."""
    for requirement in requirements:
        if not requirement.startswith("learnrate["):
            name, bound = re.fullmatch(r"([\w-]+)>=([\d.]+)", requirement).groups()
            yield name, tuple(map(int, bound.split(".")))


def test_the_lower_bounds_are_the_versions_of_constraints_oldest():
    bounds = set(
        required([*PROJECT["dependencies"], *(requirement for extra in FOR_USERS for requirement in EXTRAS[extra])])
    )
    lines = [line for line in (ROOT / "constraints-oldest.txt").read_text().splitlines() if not line.startswith("#")]
    tested = {name: tuple(map(int, version.split("."))) for name, version in (line.split("==") for line in lines)}
    assert {name for name, _ in bounds} == set(tested) - {"flax"}  # which only tests use
    for name, bound in bounds:
        # "2.9" is the bound of 2.9.0
        assert bound + (0,) * (len(tested[name]) - len(bound)) == tested[name], name


def test_all_holds_every_extra_for_users_but_the_demo():
    (everything,) = EXTRAS["all"]
    assert set(re.findall(r"\w+", everything)) - {"learnrate"} == {*FOR_USERS} - {"demo"}


@pytest.mark.parametrize("module", [name for name, needs in lr._LAZY_MODULES.items() if needs])
def test_an_extra_installs_what_its_module_needs(module):
    def packages(extra):
        names = {name for name, _ in required(EXTRAS[extra])}
        nested = [inner for line in EXTRAS[extra] if line.startswith("learnrate[") for inner in re.findall(r"\w+", line)[1:]]
        return names.union(*(packages(inner) for inner in nested))

    assert packages(module) >= set(lr._LAZY_MODULES[module])


def test_the_pinned_site_generator_is_the_one_of_the_constraints():
    (pin,) = [line for line in EXTRAS["site"] if line.startswith("zensical")]
    assert pin in (ROOT / "constraints.txt").read_text().splitlines()
