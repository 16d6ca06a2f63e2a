"""Weights and optimizers of many members, and one update of all of them, as a CUDA graph where there is a GPU."""

from collections.abc import Callable, Sequence
from itertools import groupby

import torch
from torch import Tensor

from benchmarks.papers.data import Subset
from benchmarks.papers.together import net as nets
from benchmarks.papers.together.members import Member, multipliers
from benchmarks.papers.together.net import Convolution
from benchmarks.papers.together.optimizers import STEPS, State, new_state

IMAGES_AT_ONCE = 200
"""Images in a part of an evaluation, which holds each of them once for each member."""

WARM_UP = 3
"""Updates before a CUDA graph is recorded, in which libraries choose their algorithms."""


class Ensemble:
    """Members that are trained side by side.

    Args:
        members: Those with the same optimizer next to each other.
        weights: Of all members, by name.
        train: The images that train.
        mean: The mean image.
        batch: Images in a batch of a member.
        seeds: The seeds, in the order in which `rows` has them.
        convolution: How convolutions are computed.
        states: What the optimizers keep, by parameter; None at the start of the trainings.
    """

    def __init__(
        self,
        members: Sequence[Member],
        weights: dict[str, Tensor],
        train: Subset,
        mean: Tensor,
        batch: int,
        seeds: Sequence[int],
        convolution: Convolution,
        states: dict[str, list[State]] | None = None,
    ) -> None:
        self.members, self.weights, self.seeds = list(members), weights, list(seeds)
        self.train, self.mean, self.convolution = train, mean, convolution
        self.states = states or {name: self._new_states(tensor) for name, tensor in weights.items()}
        device = train.images.device
        self.seed_of = torch.tensor([seeds.index(member.seed) for member in members], device=device)
        # What an update reads and writes keeps its address, because a CUDA graph stores addresses.
        self.rows = torch.zeros(batch, len(seeds), dtype=torch.long, device=device)
        self.lrs = torch.zeros(len(members), device=device)
        self.losses = torch.zeros(len(members), device=device)
        self._update: Callable[[], None] = self._eager

    def _groups(self) -> list[tuple[str, slice]]:
        """The optimizers, and which members have them."""
        groups, start = [], 0
        for kind, together in groupby(self.members, key=lambda member: member.kind):
            stop = start + len(list(together))
            groups.append((kind, slice(start, stop)))
            start = stop
        return groups

    def _new_states(self, weights: Tensor) -> list[State]:
        return [new_state(kind, weights.detach()[part]) for kind, part in self._groups()]

    def update(self, rows: Tensor, lrs: Tensor) -> Tensor:
        """Make one update of all members; returns their losses, which the next update overwrites.

        Args:
            rows: The rows of the images of each seed, (images, seeds).
            lrs: The LR of each member.
        """
        self.rows.copy_(rows)
        self.lrs.copy_(lrs)
        self._update()
        return self.losses

    def _eager(self) -> None:
        images, labels = self._batch()
        losses = nets.losses(self.weights, images, labels, self.convolution)
        gradients = torch.autograd.grad(losses.sum(), list(self.weights.values()))
        self.losses.copy_(losses.detach())
        with torch.no_grad():
            for (name, weights), gradient in zip(self.weights.items(), gradients, strict=True):
                self._follow(name, weights, gradient)

    def _batch(self) -> tuple[Tensor, Tensor]:
        images = (self.train.images[self.rows] - self.mean)[:, self.seed_of]
        return images.flatten(1, 2), self.train.labels[self.rows][:, self.seed_of]

    def _follow(self, name: str, weights: Tensor, gradient: Tensor) -> None:
        factor, decay = multipliers(name)
        gradient = gradient.add(weights, alpha=decay) if decay else gradient
        lrs = (self.lrs * factor).reshape(-1, *[1] * (weights.ndim - 1))
        for (kind, part), state in zip(self._groups(), self.states[name], strict=True):
            STEPS[kind][0](weights[part], gradient[part], lrs[part], state)

    def record_graph(self, rows: Tensor) -> None:
        """Record an update as a CUDA graph, which `update` replays from then on; weights and states stay as they are.

        Args:
            rows: Of any batch.

        Raises:
            RuntimeError: if an operation cannot be recorded.
        """
        tensors = [tensor.detach() for tensor in self._all_tensors()]
        before = [tensor.clone() for tensor in tensors]
        self.rows.copy_(rows)
        self.lrs.zero_()
        self._update = self._eager
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        try:
            with torch.cuda.stream(stream):
                for _ in range(WARM_UP):
                    self._eager()
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self._eager()
            self._update = graph.replay
        finally:
            for tensor, kept in zip(tensors, before, strict=True):
                tensor.copy_(kept)

    def _all_tensors(self) -> list[Tensor]:
        states = [tensor for states in self.states.values() for state in states for tensor in state.values()]
        return [*self.weights.values(), *states]

    @torch.no_grad()
    def accuracies(self, test: Subset) -> list[float]:
        """Accuracy of each member in percent on the test images."""
        right = torch.zeros(len(self.members), dtype=torch.long, device=self.lrs.device)
        for images, labels in zip(test.images.split(IMAGES_AT_ONCE), test.labels.split(IMAGES_AT_ONCE), strict=True):
            several = (images - self.mean).repeat(1, len(self.members), 1, 1)
            predicted = nets.logits(self.weights, several, self.convolution).argmax(-1)
            right += (predicted == labels[:, None]).sum(0)
        return [100 * count / len(test) for count in right.tolist()]

    def without(self, ended: set[int]) -> "Ensemble":
        """The ensemble without the members at these places."""
        left = [place for place in range(len(self.members)) if place not in ended]
        weights = {name: tensor.detach()[left].clone().requires_grad_() for name, tensor in self.weights.items()}
        states = {name: self._left_of(states, left) for name, states in self.states.items()}
        members = [self.members[place] for place in left]
        shared = (self.train, self.mean, len(self.rows), self.seeds, self.convolution)
        return Ensemble(members, weights, *shared, states)

    def _left_of(self, states: list[State], left: list[int]) -> list[State]:
        """The states of the members that are left; an optimizer of which no member is left has none."""
        kept = []
        for (_, part), state in zip(self._groups(), states, strict=True):
            places = [place - part.start for place in left if part.start <= place < part.stop]
            if places:
                kept.append({name: tensor if tensor.ndim == 0 else tensor[places].clone() for name, tensor in state.items()})
        return kept
