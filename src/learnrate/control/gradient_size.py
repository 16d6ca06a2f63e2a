"""Let the LR follow the size of the gradient."""

from typing import Any, ClassVar, NamedTuple

from learnrate import checks
from learnrate.checks import checked, frozen
from learnrate.control.controller import Action, Controller, Observation
from learnrate.control.levels import CLIPPED


class GradientSize(NamedTuple):
    """The state: number of norms so far, their smoothed size, its reference, and the factor."""

    norms: Any = 0
    size: Any = 0.0
    reference: Any = 0.0
    factor: Any = 1.0


@frozen
class gradient_size(Controller[GradientSize]):
    """Lower the LR when the gradients grow, and raise it when they shrink.

    The factor is (reference / size) ** power, within bounds. `size` is the norm of the gradient, smoothed over about
    `smoothing` updates, with single norms clipped at three times the size; `reference` is the size after the first
    `2 * smoothing` updates of the run, or of a cycle of the schedule. To keep changes few, a new factor is taken when it
    differs from the present one by a share of at least `step`.

    The norm of the gradient of a batch consists mostly of noise where batches are small, and it grows during many runs
    that go well. For optimizers such as Adam, which divide by the size of the gradient themselves, there is little
    reason to use it.

    Args:
        smoothing: Updates over which the norm is smoothed.
        power: 1 keeps the length of a step of SGD the same; 0.5 halves the reaction.
        min_factor: The factor does not become less.
        max_factor: The factor does not become more. By default the LR is not raised above the schedule, because gradients
            also shrink where a training converges, and a higher LR then does harm.
        step: Smallest share by which the factor changes.

    Source: the adaptive LR of textbooks; for the smoothed form with bounds, Smith, arXiv 1506.01186, names it as the costly
        alternative to cyclical LRs.

    Example:
        >>> from learnrate.control import Observation
        >>> controller = gradient_size(smoothing=10)
        >>> state = controller.init()
        >>> for n in range(200):
        ...     norm = 1.0 if n < 100 else 2.0
        ...     state, action = controller.update(state, Observation(n, lr=0.1, loss=1.0, gradient_norm=norm))
        >>> round(action.factor, 1)
        0.5
    """

    smoothing: int = checked(checks.length, default=100)
    power: float = checked(checks.positive, default=1.0)
    min_factor: float = checked(checks.decay, default=0.1)
    max_factor: float = checked(checks.factor, default=1.0)
    step: float = checked(checks.fraction, default=0.2)

    needs_gradient_norm: ClassVar[bool] = True
    needs_loss: ClassVar[bool] = False

    def __post_init__(self) -> None:
        checks.check_fields(self)

    def init(self) -> GradientSize:
        """See `Controller.init`."""
        return GradientSize()

    def update(self, state: GradientSize, observation: Observation) -> tuple[GradientSize, Action]:
        """See `Controller.update`."""
        where, xp, norm = observation.xp.where, observation.xp, observation.gradient_norm
        if norm is None:  # an evaluation
            return state, Action(state.factor)
        restarts = observation.restarts
        norms, factor = where(restarts, 0, state.norms), where(restarts, 1.0, state.factor)
        usable = norm - norm == 0
        limit = where(norms < 1, float("inf"), LARGEST * state.size)
        norm = xp.clip(where(usable, norm, state.size), None, limit)
        norms = norms + where(usable, 1, 0)
        size = where(usable, state.size + (norm - state.size) / xp.clip(norms, 1, self.smoothing), state.size)
        calm = norms <= 2 * self.smoothing
        reference = where(calm, size, state.reference)
        grown = where((size > 0) & (reference > 0), size, 1.0) / where((size > 0) & (reference > 0), reference, 1.0)
        target = xp.clip(grown**-self.power, self.min_factor, self.max_factor)
        # At a bound the smaller rest of the way is gone too, as otherwise it would never be reached.
        far = (target >= (1 + self.step) * factor) | (target <= factor / (1 + self.step)) | self._at_end(target, factor)
        factor = where((norms > 2 * self.smoothing) & far, target, factor)
        return GradientSize(norms, size, reference, factor), Action(factor)

    def _at_end(self, target: Any, factor: Any) -> Any:
        return ((target == self.min_factor) | (target == self.max_factor)) & (target != factor)

    def reason(self, before: GradientSize, after: GradientSize, observation: Observation) -> str:
        """See `Controller.reason`."""
        if observation.restarts:
            return "a cycle begins, and the factor with it"
        return (
            f"the norm of the gradient is {after.size:.3g}, at first {after.reference:.3g}: "
            f"factor {after.factor:.3g} instead of {before.factor:.3g}"
        )


LARGEST = CLIPPED / 2
"""Multiple of the present size at which a norm is clipped."""
