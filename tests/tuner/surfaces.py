"""Synthetic trainings whose loss at every LR is known: thousands of them can be tuned in minutes.

The loss is a power law of what was learned, plus the noise floor of the present LR. On top of that come what real networks
do: a plateau at the start, steps that are bounded, weights whose scale does not matter, a divergence that takes its time,
and chaos: two trainings at nearly the same LR end at different losses.
"""

import copy
import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

import learnrate as lr
from learnrate.tuner.families import Run, warmup_cosine

GRID = 2.0 ** np.arange(-14, 10.5)
"""LRs at which whole runs are made, in multiples of the unit of a surface."""


class State(NamedTuple):
    """A training: numbers, or arrays for several trainings at once."""

    learned: float = 0.0
    noise: float = 0.0
    excess: float = 0.0
    length: float = 1.0
    progress: float = 0.0
    strain: float = 0.0
    chance: float = 0.0


@dataclass(frozen=True)
class Surface:
    """The loss as a function of LR and updates.

    Attributes:
        kind: Its name.
        unit: The highest LR at which an update learns in proportion to its LR.
        slowness: Updates at LR `unit` in which the loss falls by a part.
        power: The loss falls with this power of what was learned.
        noise_floor: Share of the start to which the noise of the gradients raises the loss at LR `unit`.
        fading: How fast an update learns less above `unit`: 1 for as much as at `unit`, 2 for less in proportion to the LR.
        level: Loss at the start.
        batch_noise: Standard deviation of the loss from batch to batch, as a share of the loss.
        chaos: Standard deviation of log2 of what trainings at nearly the same LR learn.
        plateau: Sum of the LRs, in multiples of `unit`, before which nothing is learned.
        edge: The multiple of `unit` above which the loss grows with every update; infinite if steps are bounded.
        scale_invariant: Whether each step makes the weights longer, and longer weights make the same LR a smaller one.
        endurance: Sum of the doublings above `late_edge` after which the training diverges; infinite if it does not.
        late_edge: In multiples of `unit`.
    """

    kind: str
    unit: float
    slowness: float
    power: float
    noise_floor: float
    fading: float = 1.0
    level: float = 2.3
    batch_noise: float = 0.05
    chaos: float = 0.0
    plateau: float = 0.0
    edge: float = math.inf
    scale_invariant: bool = False
    endurance: float = math.inf
    late_edge: float = 1.0

    def loss(self, state):
        """The expected loss: at most three times that at the start if steps are bounded."""
        share = (1 + state.learned / self.slowness) ** -self.power + state.noise + state.excess
        return self.level * (np.minimum(share, 3.0) if math.isinf(self.edge) and math.isinf(self.endurance) else share)

    def after(self, state, max_lr):
        """The state after an update at an LR, or at one LR for each training."""
        relative = max_lr / self.unit
        length = np.hypot(state.length, relative) if self.scale_invariant else state.length
        effective = relative / length
        chance = 0.98 * state.chance + 0.4 * np.sin(1e5 * np.log(relative + 1e-9)) if self.chaos else 0.0
        gained = effective / (1 + effective**self.fading) * (2.0 ** (self.chaos * chance) if self.chaos else 1.0)
        strain = excess = 0.0
        if math.isfinite(self.endurance):
            strain = state.strain + np.log2(np.maximum(1.0, effective / self.late_edge))
        if math.isfinite(self.edge) or math.isfinite(self.endurance):
            growth = 4.0 * (strain > self.endurance) + (effective / self.edge) ** 2
            excess = np.minimum((state.excess + 1e-3 * (growth > 1)) * growth, 1e30)
        return State(
            learned=state.learned + gained * (state.progress >= self.plateau),
            noise=state.noise + np.minimum(1.0, effective) * (self.noise_floor * np.minimum(effective, 4.0) - state.noise),
            excess=excess,
            length=length,
            progress=state.progress + effective,
            strain=strain,
            chance=chance,
        )

    def final_losses(self, max_lrs, updates):
        """The loss at the end of a whole run with `warmup_cosine` at each of these peaks; at most that at the start."""
        state, losses = State(), []
        for part in warmup_cosine(1.0, Run(updates))(np.arange(updates)):
            losses.append(self.loss(state))
            state = self.after(state, part * np.asarray(max_lrs))
        return np.mean([np.minimum(loss, self.level) for loss in losses[-max(1, updates // 5) :]], axis=0)

    def regret(self, max_lr, updates):
        """The share of the best fall of the loss, over all LRs, that a run at this LR misses."""
        losses = self.final_losses([max_lr, *(self.unit * GRID)], updates)
        return float((losses[0] - losses.min()) / (self.level - losses.min()))


class OnSurface(lr.Trainable):
    """A training on a surface. Its trials are trained one by one or as one batch."""

    def __init__(self, surface, seed=0, batched=False):
        self.surface, self.batched = surface, batched
        self.traits = lr.trainable.OptimizerTraits(unbounded_steps=math.isfinite(surface.edge))
        self.random = np.random.default_rng(seed)
        self.state = State()

    def update(self, lr):
        loss = float(self.surface.loss(self.state))
        self.state = self.surface.after(self.state, lr)
        return loss * (1 + self.surface.batch_noise * self.random.standard_normal())

    def save(self):
        return self.state, self.random.bit_generator.state

    def restore(self, state):
        self.state, self.random.bit_generator.state = state

    def ensemble(self, count):
        return Members([copy.deepcopy(self) for _ in range(count)]) if self.batched else super().ensemble(count)


class Members:
    """Several trainings that see the same noise."""

    def __init__(self, members):
        self.members = members

    def update(self, lrs):
        return [{} if lr is None else {"loss": member.update(lr)} for member, lr in zip(self.members, lrs, strict=True)]

    def evaluate(self):
        return [None] * len(self.members)


def random_surface(random):
    """A surface of a random kind, with random numbers."""
    plain = Surface(
        kind="valley",
        unit=10 ** random.uniform(-4, 1),
        slowness=10 ** random.uniform(-0.5, 1.5),
        power=random.uniform(0.3, 1.5),
        noise_floor=10 ** random.uniform(-3, -0.5),
        fading=random.uniform(1.0, 1.5),
        level=10 ** random.uniform(-1, 1),
        batch_noise=10 ** random.uniform(-2.5, -0.7),
        chaos=random.choice([0.0, 0.1, 0.3]),
        edge=2 ** random.uniform(0, 2),
    )
    bounded = replace(plain, edge=math.inf)
    kind = str(random.choice(["valley", "flat top", "scale-invariant", "late divergence", "plateau", "far cliff"]))
    if kind == "flat top":
        return replace(bounded, kind=kind, fading=1.0, noise_floor=plain.noise_floor / 100)
    if kind == "scale-invariant":
        return replace(bounded, kind=kind, scale_invariant=True)
    if kind == "late divergence":
        return replace(bounded, kind=kind, endurance=10 ** random.uniform(1.5, 3), late_edge=2 ** random.uniform(-4, 0))
    if kind == "plateau":
        return replace(bounded, kind=kind, plateau=10 ** random.uniform(0, 2))
    if kind == "far cliff":
        return replace(plain, kind=kind, edge=2 ** random.uniform(4, 12))
    return plain
