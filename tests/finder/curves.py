"""Curves whose bounds are known, and the words of what a rule says about them."""

import re

import numpy as np

POINTS = 100
LRS = np.geomspace(1e-7, 10.0, POINTS)


def valley(begin=1e-3, bottom=0.1, noise=0.0, seed=0):
    """Constant at 2.3, falling linearly in log LR from `begin` to 0.5 at `bottom`, and rising steeply above it."""
    position = np.log10(LRS)
    fall = np.clip((position - np.log10(begin)) / (np.log10(bottom) - np.log10(begin)), 0, 1)
    rise = np.clip(position - np.log10(bottom), 0, None)
    return 2.3 - 1.8 * fall + 4 * rise**2 + noise * np.random.default_rng(seed).standard_normal(POINTS)


def words(sentence):
    """The words and the numbers of a sentence: tests look for facts, and not for whole sentences."""
    return set(re.findall(r"[\w.+-]*\w", sentence))
