"""What a training was made with: versions and hardware."""

import functools
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LIBRARIES = (
    "learnrate",
    "numpy",
    "torch",
    "jax",
    "jaxlib",
    "optax",
    "flax",
    "keras",
    "lightning",
    "transformers",
    "accelerate",
)


def environment() -> dict[str, str]:
    """Versions of the libraries that are in use, and the hardware of this machine."""
    return {**_machine(), **_accelerator(), **_versions()}


def _versions() -> dict[str, str]:
    versions = {"Python": platform.python_version()}
    for name in LIBRARIES:
        if name in sys.modules:
            versions[name] = _version(name)
    return versions


@functools.cache  # reading it takes longer than a short run
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # imported from a folder
        return str(getattr(sys.modules[name], "__version__", "not installed"))


@functools.cache
def _machine() -> dict[str, str]:
    return {
        "host": platform.node(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": str(os.cpu_count() or 1),
    }


def _processor() -> str:
    """The model of the processor, as Linux says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())


def _accelerator() -> dict[str, str]:
    """The GPU that torch uses, if it is loaded and has one. Asking JAX would reserve the memory of its devices."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return {}
    return {"gpu": str(torch.cuda.get_device_name())}
