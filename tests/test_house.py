"""The structure: imports run downwards, `import learnrate` is light, the public names are complete."""

import ast
import json
import pkgutil
import subprocess
import sys
from itertools import permutations
from pathlib import Path

import pytest

import learnrate as lr

PACKAGE = Path(lr.__file__).parent

FLOORS = [
    *(
        "errors",
        "amounts",
        "checks",
        "locks",
        "interrupts",
        "user_code",
        "records",
        "tables",
        "traits",
        "noise_scale",
        "metrics",
        "trainable",
        "origin",
        "trainer_runs",
        "random_numbers",
        "own_state",
        "replay",
        "batches",
        "updates",
        "figures",
        "html",
    ),
    *("schedules", "finder", "tuner", "control", "logs"),
    *(
        "torch.inputs",
        "torch.optimizers",
        "torch.distributed",
        "torch.snapshot",
        "torch.control",
        "torch.driving",
        "torch.training",
        "torch.ensemble",
    ),
    *("torch.range_test", "torch.accuracy_test", "torch.probe", "torch.tune", "torch.recipe"),
    *("jax.processes", "jax.carried", "jax.dependence", "jax.places", "jax.control_state", "jax.optimizers", "jax.kinds"),
    *("jax.probing", "jax.noise_scale", "jax.ensemble", "jax.checkpoint"),
    *("jax.trainable", "jax.states", "jax.reacting", "jax.transformation", "jax.monitor", "jax.follow"),
    *("jax.range_test", "jax.probe", "jax.tune", "jax.recipe"),
    *("keras.optimizers", "keras.schedule", "keras.data", "keras.snapshot", "keras.stepping", "keras.checkpoint"),
    *("keras.train_function", "keras.writing", "keras.observing", "keras.steering", "keras.torch_steered"),
    *("keras.jax_steered", "keras.state_file", "keras.steered"),
    *("keras.trainable", "keras.follow", "keras.range_test", "keras.tune", "keras.recipe"),
    *("lightning.text", "lightning.horizon", "lightning.changes", "lightning.observing", "lightning.scheduler"),
    *("lightning.owners", "lightning.driven", "lightning.drives", "lightning.follow"),
    *("lightning.training", "lightning.range_test", "lightning.tune"),
    *("lightning.listening", "lightning.checkpoints", "lightning.recipe"),
    *("accelerate", "transformers"),
    *("recipes", "study", "cli"),
]
"""From the ground up. A room may import from itself and from the rooms before it, whether the import runs at once, late in a
function, or for the type checker alone."""

FRAMEWORKS = ("torch", "jax", "keras", "lightning", "accelerate", "transformers")

ON_TORCH = ("lightning", "accelerate", "transformers")
"""Adapters that stand on the rooms of torch."""

ALLIES = [*((framework, "torch") for framework in ON_TORCH), ("transformers", "accelerate")]

STRANGERS = [
    *(pair for pair in permutations(FRAMEWORKS, 2) if pair not in ALLIES),
    *((framework, "study") for framework in FRAMEWORKS),
    *((room, framework) for room in ("study", "recipes", "cli") for framework in FRAMEWORKS),
    ("recipes", "study"),
]
"""Rooms that must not import from each other: a comparison knows no framework, a framework no comparison and no other
framework, and the command line and the loading of recipes know recipes of any framework."""

FRONT_DOORS = ("__init__.py", "__main__.py", *(f"{framework}/__init__.py" for framework in FRAMEWORKS))
"""They re-export from any room. So does nothing else; a recipe, such as the built-in one, uses the public names alone."""

FILES = sorted(PACKAGE.rglob("*.py"))


def name_of(path):
    return str(path.relative_to(PACKAGE))


def room_of(module):
    """The room of a module, given by its dotted name below learnrate."""
    return next((room for room in reversed(FLOORS) if f"{module}.".startswith(f"{room}.")), None)


def imported_by(path):
    """The modules of learnrate, by their dotted names below it, that a file imports anywhere."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (name.removeprefix("learnrate.") for name in names if name.startswith("learnrate."))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_run_downwards(path):
    if name_of(path) in FRONT_DOORS:
        return
    module = name_of(path).removesuffix(".py").replace("/", ".")
    room = room_of(module)
    assert room is not None, f"{path} is in no known room"
    for other in imported_by(path):
        below = room_of(other)
        assert below is not None, f"{module} imports {other}, which is in no known room"
        assert FLOORS.index(below) <= FLOORS.index(room), f"{module} imports {other}, which stands above it"
        assert (module.split(".")[0], other.split(".")[0]) not in STRANGERS, f"{module} must not import {other}"


def test_every_room_exists():
    modules = [name_of(path).removesuffix(".py").replace("/", ".") for path in FILES]
    assert {room_of(module) for module in modules} - {None} == set(FLOORS)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_file_is_short_enough_to_read(path):
    assert len(path.read_text().splitlines()) <= 400


def test_importing_learnrate_imports_nothing_heavy():
    code = "import json, sys, learnrate; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert "numpy" in loaded
    assert not set(loaded) & {
        *FRAMEWORKS,
        "optax",
        "flax",
        "matplotlib",
        "plotly",
        "typer",
        "rich",
        "sklearn",
        "scipy",
        "pandas",
    }


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom learnrate.cli.app import run\nfor command in ('tune', 'range-test', 'show', 'compare', 'report'):\n"
        "    sys.argv = ['learnrate', command, '--help']; run()\n"
        "print('torch' in sys.modules, 'matplotlib' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1] == "False False"


def test_the_public_face_is_complete():
    for name in lr.__all__:
        assert getattr(lr, name) is not None
    for framework in (getattr(lr, name) for name in FRAMEWORKS if name != "keras"):
        for name in framework.__all__:
            assert getattr(framework, name) is not None
    assert set(FRAMEWORKS) <= set(dir(lr))
    assert lr.__version__.count(".") == 2
    with pytest.raises(AttributeError, match="no attribute 'triangle'"):
        _ = lr.triangle


def test_no_folder_bears_the_name_of_a_public_function():
    folders = {module.name for module in pkgutil.iter_modules([str(PACKAGE)]) if module.ispkg}
    assert not folders & {name for name in lr.__all__ if callable(getattr(lr, name))}


@pytest.mark.parametrize(
    ("blocked", "statement", "words"),
    [
        ("torch", "lr.torch", "learnrate.torch needs PyTorch, which is not installed: pip install 'learnrate[torch]'"),
        ("jax", "lr.jax", "learnrate.jax needs JAX, which is not installed: pip install 'learnrate[jax]'"),
        ("optax", "lr.jax", "learnrate.jax needs optax, which is not installed: pip install 'learnrate[jax]'"),
        (
            "matplotlib",
            "lr.constant(1).plot()",
            "pictures need matplotlib, which is not installed: pip install 'learnrate[plots]'",
        ),
        (
            "plotly",
            "lr.Curve([0.1, 1.0], [2.0, 1.0]).to_html('page.html')",
            "pages need plotly, which is not installed: pip install 'learnrate[pages]'",
        ),
    ],
)
def test_a_missing_extra_is_an_install_hint(blocked, statement, words):
    code = f"import sys; sys.modules['{blocked}'] = None; import learnrate as lr; {statement}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert words in done.stderr.splitlines()[-1]


def test_the_command_line_without_its_extra_says_how_to_install_it():
    code = "import sys; sys.modules['typer'] = None; from learnrate.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: the command line needs typer: pip install 'learnrate[cli]'\n"


def test_every_error_is_also_a_built_in_one():
    for name, error in vars(lr.errors).items():
        if isinstance(error, type) and issubclass(error, lr.errors.LearnrateError) and error is not lr.errors.LearnrateError:
            builtin = {ValueError, TypeError, KeyError, RuntimeError, OSError, ImportError}
            assert any(issubclass(error, kind) for kind in builtin), name
            assert name in (lr.errors.__doc__ or "")
