"""The table of docs/frameworks.md: which feature works in which framework, and the tests that show it.

A cell is "yes" if a test is marked with it, `@pytest.mark.shows("lightning", "resume")`; otherwise `NO` has the reason.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parents[1]

FRAMEWORKS = {
    "torch": "PyTorch",
    "jax": "JAX, optax, flax NNX",
    "keras": "Keras 3 (torch and JAX)",
    "lightning": "Lightning",
    "transformers": "Transformers",
    "accelerate": "Accelerate",
}

FEATURES = (
    "schedule",
    "resume",
    "two owners",
    "range test",
    "tune in place",
    "accumulation",
    "skipped updates",
    "many processes",
    "LR in its logs",
    "config text",
    "control",
    "record",
    "compare",
)

NO: dict[tuple[str, str], str] = {
    ("accelerate", "compare"): (
        "`lr.compare` trains recipes, and Accelerate has none, because the loop is part of your script: compare the same model "
        "with `lr.torch.Recipe`."
    ),
    ("keras", "many processes"): "It was not tested with `keras.distribution`, nor with DistributedDataParallel.",
}
"""The reason of each cell that no test shows."""


@dataclass(frozen=True)
class Shown:
    """A test that shows a cell.

    Attributes:
        cell: Framework and feature.
        path: The file of the test, below the folder of tests.
        test: Its name.
    """

    cell: tuple[str, str]
    path: str
    test: str


def shown() -> list[Shown]:
    """All tests that are marked, read from their sources: nothing is imported."""
    return [test for path in sorted(TESTS.rglob("test_*.py")) for test in _marked(path)]


def _marked(path: Path) -> Iterator[Shown]:
    text = path.read_text()
    if "pytest.mark.shows" not in text:  # to parse all files takes a second
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.shows":
                    framework, feature = (ast.literal_eval(argument) for argument in decorator.args)
                    yield Shown((framework, feature), str(path.relative_to(TESTS)), node.name)
