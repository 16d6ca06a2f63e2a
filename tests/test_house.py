"""The house stands as DESIGN draws it: imports run downwards, the front door is light, the public face is complete."""

import ast
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import learnrate as lr

PACKAGE = Path(lr.__file__).parent

# From the ground up: a room may import from rooms that stand before it, and from itself.
FLOORS = [
    "errors",
    "user_code",
    "checks",
    "records",
    "plots",
    "pages",
    "schedules",
    "finder",
    "tuner",
    "study",
    "torch",
    "recipes",
    "cli",
]


def room_of(path):
    parts = path.relative_to(PACKAGE).parts
    return parts[0].removesuffix(".py")


def rooms_imported(tree, path):
    """Rooms that a module imports when it runs; imports for the type checker alone build nothing."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names = [node.module]
            if node.module == "learnrate":
                names = [f"learnrate.{alias.name}" for alias in node.names]
        for name in names:
            if name and name.startswith("learnrate."):
                yield name.split(".")[1]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_downwards(path):
    room = room_of(path)
    if room in ("__init__", "__main__", "recipes"):
        return  # the front doors, and files such as users write, which see the public face
    assert room in FLOORS, f"{path} is in no known room"
    for other in rooms_imported(ast.parse(path.read_text()), path):
        if other in FLOORS:
            assert FLOORS.index(other) <= FLOORS.index(room), f"{room} imports {other}, which stands above it"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_file_is_too_long_to_read(path):
    assert len(path.read_text().splitlines()) <= 400


def test_importing_learnrate_imports_nothing_heavy():
    code = "import json, sys, learnrate; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert "numpy" in loaded
    assert not set(loaded) & {"torch", "jax", "keras", "matplotlib", "plotly", "typer", "rich", "sklearn", "scipy", "pandas"}


def test_help_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['learnrate', 'tune', '--help']; from learnrate.cli.app import run; run(); "
        "print('torch' in sys.modules, 'matplotlib' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1] == "False False"


def test_the_public_face_is_complete():
    for name in lr.__all__:
        assert getattr(lr, name) is not None
    for name in lr.torch.__all__:
        assert getattr(lr.torch, name) is not None
    assert "torch" in dir(lr)
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
            builtin = {ValueError, TypeError, RuntimeError, OSError, ImportError}
            assert any(issubclass(error, kind) for kind in builtin), name
            assert name in (lr.errors.__doc__ or "")
