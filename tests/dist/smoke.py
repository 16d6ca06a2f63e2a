"""Install learnrate into an empty environment, as a user does, and run the tests that need nothing but NumPy.

python tests/dist/smoke.py                       # a wheel and an sdist, built here, with this Python
python tests/dist/smoke.py 3.11 3.12 3.13        # a wheel, with each of these versions of Python that is found

The tests run from this folder, the package from the environment: `src` is not on the path.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFIGURATION = Path(__file__).with_name("smoke.ini")

TESTS = (
    *(f"tests/schedules/test_{name}.py" for name in ("durations", "empty_parts", "golden", "resume", "text", "tokens")),
    *(f"tests/finder/test_{name}.py" for name in ("refusals", "nonfinite")),
    *(f"tests/tuner/test_{name}.py" for name in ("families", "no_answer", "plan", "probe", "search")),
    *(f"tests/test_{name}.py" for name in ("updates", "user_code")),
)
"""Of the tests that need nothing but NumPy, pytest and hypothesis, those that are quick."""


def run(*command: object, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command; its output is shown if it fails."""
    done = subprocess.run([str(part) for part in command], text=True, capture_output=True, **options)  # type: ignore[call-overload]
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\nended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done


def interpreter_of(version: str) -> str | None:
    """An interpreter of this version: on the path, or one that pyenv has installed."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [shutil.which(f"python{version}"), *map(str, sorted(versions.glob(f"{version}.*/bin/python")))]
    # pyenv puts commands on the path that only say that the version is not chosen.
    works = (
        candidate
        for candidate in candidates
        if candidate and subprocess.run([candidate, "-c", ""], capture_output=True).returncode == 0
    )
    return next(works, None)


def environment(python: str, folder: Path, *packages: object) -> Path:
    """A new virtual environment with these packages; returns its interpreter."""
    run(python, "-m", "venv", folder)
    interpreter = folder / "bin" / "python"
    run(
        interpreter,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-c",
        ROOT / "constraints.txt",
        *packages,
    )
    return interpreter


def build(folder: Path) -> tuple[Path, Path]:
    """The wheel and the sdist of this project."""
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


def check_files(wheel: Path) -> None:
    """The wheel has the mark of a typed package and the licence, and nothing beside the package."""
    names = zipfile.ZipFile(wheel).namelist()
    assert "learnrate/py.typed" in names, "no py.typed"
    assert any(name.endswith("licenses/LICENSE") for name in names), "no licence"
    beside = {name.split("/")[0] for name in names} - {"learnrate"}
    assert all(name.endswith(".dist-info") for name in beside), beside


def check_commands(interpreter: Path) -> None:
    """What a user of the bare package sees of the parts that need an extra: how to install it."""
    command = subprocess.run([interpreter.with_name("learnrate"), "--help"], text=True, capture_output=True)
    assert command.returncode == 2, command
    assert "pip install 'learnrate[cli]'" in command.stderr, command.stderr
    for module in ("torch", "jax", "keras", "lightning", "transformers", "accelerate"):
        imported = [interpreter, "-c", f"import learnrate as lr; lr.{module}"]
        missing = subprocess.run(imported, text=True, capture_output=True)
        # A module that has no content yet imports nothing that could be missing.
        if (ROOT / "src" / "learnrate" / f"{module}.py").exists() and missing.returncode == 0:
            continue
        assert f"pip install 'learnrate[{module}]'" in missing.stderr, missing.stderr


def smoke(interpreter: Path, folder: Path) -> str:
    """Run the tests against the installed package; returns the last line of pytest."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    where = run(interpreter, "-c", "import learnrate; print(learnrate.__file__)", cwd=folder, env=clean).stdout.strip()
    assert Path(where).is_relative_to(folder.resolve()), where
    options = ("-c", CONFIGURATION, "--rootdir", ROOT, "--noconftest", "-p", "smoke_plugin", "-p", "no:cacheprovider")
    done = run(interpreter, "-m", "pytest", *options, *TESTS, cwd=ROOT, env=clean)
    return done.stdout.strip().splitlines()[-1]


def check_builds(folder: Path) -> None:
    """Both forms, each in an environment of its own."""
    wheel, sdist = build(folder / "dist")
    check_files(wheel)
    for file in (wheel, sdist):
        interpreter = environment(sys.executable, folder / file.suffix[1:], file, "pytest", "hypothesis")
        check_commands(interpreter)
        print(f"{file.name}: {smoke(interpreter, folder / file.suffix[1:])}", flush=True)


def check_versions(folder: Path, versions: list[str]) -> None:
    """A wheel in several versions of Python; those that are not found are named."""
    wheel, _ = build(folder / "dist")
    for version in versions:
        python = interpreter_of(version)
        if python is None:
            print(f"Python {version}: not found, not tested", flush=True)
            continue
        interpreter = environment(python, folder / version, wheel, "pytest", "hypothesis")
        print(f"Python {version}: {smoke(interpreter, folder / version)}", flush=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        if versions := sys.argv[1:]:
            check_versions(Path(temporary), versions)
        else:
            check_builds(Path(temporary))
