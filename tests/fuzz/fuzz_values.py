"""Values that a user passes by mistake."""

import atexit
import math
import shutil
import tempfile
from decimal import Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

import learnrate as lr


@cache
def folder() -> Path:
    """A folder for what is written; it is removed at the end."""
    path = Path(tempfile.mkdtemp(prefix="learnrate-fuzz-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


class Unprintable:
    """An object whose repr fails, as that of a half-built one does."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


CURVE = lr.Curve(np.geomspace(1e-6, 1.0, 40), np.linspace(2.0, 1.0, 40))
BOUNDS = CURVE.bounds()


def values() -> tuple[Any, ...]:
    """New objects each time: some of them can be consumed."""
    return (
        *(None, True, False, "", "x", "False", "no", "5%", "3 epochs", "nan", "\0", "\ud800", "x" * 10_000, b"x"),
        *(
            -1,
            0,
            1,
            2,
            3,
            0.5,
            2.5,
            -0.0,
            1e308,
            5e-324,
            math.nan,
            math.inf,
            -math.inf,
            2**53,
            10**30,
            10**400,
            10**5000,
            -(10**5000),
        ),
        *(Decimal("0.1"), Fraction(1, 3), Fraction(10**400), 1j, np.float32(0.5), np.int64(5), np.bool_(True), np.str_("x")),
        *(
            np.array(3),
            np.arange(3),
            np.array([]),
            np.array([[1.0]]),
            np.array("x"),
            np.array([None, 1.0]),
            np.array(math.nan),
        ),
        *(torch.tensor(5), torch.tensor(0.5), torch.tensor([1.0, 2.0]), torch.tensor(1.0, requires_grad=True)),
        torch.tensor(1.0, device="meta"),
        *([], {}, (), [1], [None], ["x"], [1, "x"], [10**400], [[1], [2, 3]], {"x": 1}, {1: 2}, {"lr": None}, {1, 2}),
        *(range(3), iter([1]), object(), object, int, Exception, ValueError("x"), Unprintable(), Path("/none/x"), Path()),
        *(lambda: None, lambda *arguments: 1, lambda *arguments: None, lambda *arguments: "x", len),
        *(lr.constant(0.1), lr.cosine(0.1, 0.0, 10), lr.wsd(0.1), lr.Horizon(10), CURVE, BOUNDS, lr.stops.diverged()),
        *(
            torch.nn.Linear(2, 1),
            torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.1),
            torch.float32,
            slice("a"),
            slice(3),
        ),
    )
