"""Damaged files: `Curve.load` and `Plan.load` refuse them, or load what can be saved and loaded again."""

import copy
import json
import math
import random
from functools import cache
from typing import Any

import numpy as np
from fuzz_findings import Finding, finding
from fuzz_values import folder

import learnrate as lr
from trainables import Quadratic

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 0.5, -0.0, 1e308, 5e-324, math.nan, math.inf, -math.inf),
    *(10**30, -(10**30), 10**400, 2**63, "", "nan", "inf", "-inf", "1", "x" * 1000, "\ud800", "0.1 * * 2"),
    *([], {}, [[]], [None], ["a"], [True], {"a": 1}, [1, 2, 3], [0.1] * 40, "constant(0.1)", "wsd(0.1, '5%')"),
)


@cache
def records() -> tuple[tuple[type, str], ...]:
    """Files as `save` writes them."""
    lrs = np.geomspace(1e-6, 1.0, 40)
    losses = np.where(lrs < 1e-3, 2.0, 1.0)
    single = lr.Curve(lrs, np.append(losses[:-1], math.nan), {"accuracy": losses}, ("a note",), 30, seeds=(1,), skipped=(3,))
    flat = lr.Curve(lrs, [4.5] * 40)
    results = (single, lr.Curve.merge([single, single]), lr.tune(Quadratic(), updates=300), plan_without_bounds(flat))
    texts = []
    for result in results:
        result.save(folder() / "whole.json")
        texts.append((type(result), (folder() / "whole.json").read_text()))
    return tuple(texts)


def plan_without_bounds(flat: lr.Curve) -> lr.Plan:
    return lr.tune(Quadratic(), updates=300, family="triangular2", curve=flat)


def case(draw: random.Random) -> Finding | None:
    kind, text = draw.choice(records())
    damaged = damaged_tree(draw, text) if draw.random() < 0.8 else damaged_bytes(draw, text.encode())
    path = folder() / "damaged.json"
    path.write_bytes(damaged)

    def load() -> None:
        loaded = kind.load(path)
        repr(loaded)
        if draw.random() < 0.1 and isinstance(loaded, lr.Curve):
            loaded.bounds()
        loaded.save(folder() / "again.json")
        if kind.load(folder() / "again.json") != loaded:
            raise ValueError("another value after saving and loading")

    result = finding(load)
    return result and result.of(f"{kind.__name__}.load")


def damaged_bytes(draw: random.Random, content: bytes) -> bytes:
    """Bytes that were cut off, changed, lost, or written twice."""
    start = draw.randrange(len(content))
    stop = min(len(content), start + draw.choice((1, 2, 10, 100)))
    middle = draw.choice(
        (b"", bytes([draw.randrange(256)]), content[start:stop] * 2, b"[" * draw.choice((1, 2000, 100_000)), b"9" * 5000)
    )
    return content[:start] if draw.random() < 0.2 else content[:start] + middle + content[stop:]


def damaged_tree(draw: random.Random, text: str) -> bytes:
    """JSON with one to three values replaced, removed, added, or nested."""
    tree = json.loads(text)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        parent, key = place(draw, tree)
        action = draw.random()
        if action < 0.6:
            parent[key] = copy.deepcopy(draw.choice(ODD))
        elif action < 0.75:
            del parent[key]
        elif action < 0.85:
            other, other_key = place(draw, tree)
            parent[key] = copy.deepcopy(other[other_key])
        elif action < 0.95:
            value = parent[key]
            is_number = isinstance(value, (int, float))
            parent[key] = draw.choice((-value, value * 10**300, str(value))) if is_number else [value]
        else:
            for _ in range(draw.choice((1, 3, 300))):
                parent[key] = draw.choice(({"sweeps": [parent[key]]}, [parent[key]]))
    return json.dumps(tree).encode()


def place(draw: random.Random, tree: Any) -> tuple[Any, Any]:
    """A random container in the tree, and one of its keys. Short of the root, each level is as likely to be chosen."""
    while True:
        keys = list(tree) if isinstance(tree, dict) else range(len(tree))
        if not keys:
            tree = {"empty": 0}
            continue
        key = draw.choice(keys)
        if not isinstance(tree[key], (dict, list)) or not tree[key] or draw.random() < 0.3:
            return tree, key
        tree = tree[key]
