"""Equilibrated SGD: gradients divided by the size of the rows of the Hessian."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from learnrate import checks
from learnrate.errors import ArgumentError, LossError, NotMeasuredWarning
from learnrate.torch.optimizers.groups import (
    Rules,
    check_group,
    flag,
    flag_or_none,
    gradients_of,
    in_lists,
    learning_rate,
    with_gradients,
)
from learnrate.torch.optimizers.hessian import (
    REMEDY,
    all_finite,
    gradients_with_graph,
    normal_vectors,
    products_with,
    require_curved,
    require_one_process,
)

RULES: Rules = {
    "lr": learning_rate,
    "damping": checks.positive,
    "weight_decay": checks.rate,
    "every": checks.length,
    "first": checks.length,
    "seed": partial(checks.whole, at_least=0),
    "maximize": flag,
    "foreach": flag_or_none,
}

OF_ALL_GROUPS = ("every", "first", "seed")
"""Settings that concern the Hessian, which has all parameters in it."""


class ESGD(Optimizer):
    """Equilibrated SGD (Dauphin, de Vries and Bengio 2015, arXiv 1502.04390): p <- p - lr g / (D + damping).

    D is the equilibration preconditioner, D_i = sqrt(E[(H v)_i ** 2]) with v ~ N(0, 1), which is the norm of row i of the
    Hessian H. It is as large along negative curvature as along positive, so that saddle points are left fast. The mean is
    over all products H v so far (Algorithm 1 of the paper). A product is made every 20 updates only, as in the
    paper: an update with one takes about 4 times as long as one without.

    A product needs the graph of the loss. So an update with a product takes a closure that returns the loss, and the
    backward pass before it must keep the graph; at other updates both are optional:

        loss.backward(retain_graph=optimizer.needs_closure)
        optimizer.step(lambda: loss)

    A closure that makes the gradients itself, as torch's LBFGS takes it, works too if it returns the loss and calls
    `backward(retain_graph=True)`. Gradients may be clipped in between. With accumulated gradients, give the mean of the
    losses of the micro-batches: of one alone, H would be that of a smaller batch. `lr.torch.tune`, `range_test` and `Recipe`
    do all of this themselves.

    The vectors v follow from `seed` and the number of the product alone, and both are in the `state_dict`: a run that is
    resumed goes on exactly. A parameter that gets its first gradient between two products waits for the next one.

    Args:
        params: Parameters, or parameter groups, which may have an `lr`, `damping`, `weight_decay` and `maximize` of their
            own.
        lr: The learning rate. A step is as long as one of Newton's method at 1 where H is diagonal. H is not, so that values
            around 0.1 are usual.
        damping: Added to D, so that steps stay finite where the loss is flat; above 0.
        every: Number of updates from one product to the next.
        first: Number of products at the first update, where D would otherwise follow from a single v: a component of it
            near 0 would give a step that is many times too long. 1 in the paper.
        weight_decay: L2 penalty: adds weight_decay * p to the gradient, and weight_decay * v to H v.
        seed: Seed of the vectors v, at least 0.
        maximize: Whether to maximise.
        foreach: Whether to update all parameters by one call of each operation; None (the default) on accelerators only.

    Raises:
        ArgumentError: if a setting breaks its rule, or a parameter is complex.
        ArgumentTypeError: if a setting is of the wrong type.

    Warns:
        NotMeasuredWarning: at an update whose gradients are finite, and its product is not. The product is left out.

    Example:
        >>> import torch, learnrate as lr
        >>> weights = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
        >>> optimizer = lr.torch.optimizers.ESGD([weights], lr=0.5)
        >>> for _ in range(30):
        ...     optimizer.zero_grad()
        ...     loss = (torch.tensor([100.0, 0.01]) * weights**2).sum()
        ...     loss.backward(retain_graph=optimizer.needs_closure)
        ...     _ = optimizer.step(lambda: loss)
        >>> bool((weights.abs() < 0.01).all())
        True
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.1,
        damping: float = 1e-2,
        *,
        every: int = 20,
        first: int = 10,
        weight_decay: float = 0.0,
        seed: int = 0,
        maximize: bool = False,
        foreach: bool | None = None,
    ) -> None:
        of_all = {"every": every, "first": first, "seed": seed}
        of_each = {"lr": lr, "damping": damping, "weight_decay": weight_decay, "maximize": maximize, "foreach": foreach}
        super().__init__(params, of_each | of_all)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters; see `torch.optim.Optimizer.add_param_group`.

        Raises:
            ArgumentError: if a setting breaks its rule, or a parameter is complex.
            ArgumentTypeError: if a setting is of the wrong type.
        """
        super().add_param_group(param_group)
        first, group = self.param_groups[0], self.param_groups[-1]
        try:
            check_group("ESGD", group, RULES)
            for name in OF_ALL_GROUPS:
                if group[name] != first[name]:
                    checks.refuse(name, f"the same in all groups, {first[name]}", group[name])
        except (ValueError, TypeError):
            self.param_groups.pop()
            raise

    @property
    def needs_closure(self) -> bool:
        """Whether a Hessian product is due at the next update."""
        every: int = self.param_groups[0]["every"]
        return self._updates() % every == 0

    def _updates(self) -> int:
        return max((state["step"] for state in self.state.values() if "step" in state), default=0)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make an update.

        Args:
            closure: Returns the loss whose gradients the parameters have, with its graph. It may make the gradients as well.

        Returns:
            What the closure returned; None without one.

        Raises:
            ArgumentError: if a product is due and there is no loss that can be differentiated twice; if a gradient is
                sparse.
            LossError: if the products of the first update are not finite.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        lists = [(group, with_gradients("ESGD", group)) for group in self.param_groups]
        parameters = [(group, parameter) for group, active in lists for parameter in active]
        if not parameters:  # nothing to do, or an update that is left out
            return loss
        if self.needs_closure:
            self._measure(parameters, loss)
        updates = self._updates() + 1
        for group, active in lists:
            measured = [parameter for parameter in active if self.state[parameter].get("products", 0)]
            for together in in_lists(measured, group["foreach"]):
                self._follow(group, together)
        for _, parameter in parameters:
            self.state[parameter]["step"] = updates
        return loss

    def _follow(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        """Apply the formula of the class to these parameters."""
        states = [self.state[parameter] for parameter in parameters]
        squares = [state["curvature_square"] for state in states]
        divisors = torch._foreach_div(squares, [float(state["products"]) for state in states])
        torch._foreach_sqrt_(divisors)
        torch._foreach_add_(divisors, group["damping"])
        changes = torch._foreach_div(gradients_of(parameters, group), divisors)
        torch._foreach_add_(parameters, changes, alpha=-float(group["lr"]))

    def _measure(self, parameters: list[tuple[dict[str, Any], Tensor]], loss: object) -> None:
        """Add the squares of Hessian products."""
        require_one_process()
        if not (isinstance(loss, Tensor) and loss.requires_grad):
            received = "no closure" if loss is None else "a loss without its graph"
            raise ArgumentError(
                f"step must have a closure that returns the loss with its graph where a Hessian product is due, "
                f"received {received}: {REMEDY}"
            )
        inputs = [parameter for _, parameter in parameters]
        gradients = gradients_with_graph(loss, inputs)
        # A gradient that does not depend on the weights has a row of zeros in H, and no graph.
        rows = [place for place, gradient in enumerate(gradients) if gradient is not None and gradient.requires_grad]
        outputs = [gradient for place in rows if (gradient := gradients[place]) is not None]
        if self._updates() == 0:
            require_curved(outputs)
        products_made = max((self.state[parameter].get("products", 0) for parameter in inputs), default=0)
        count = self.param_groups[0]["first"] if self._updates() == 0 else 1
        for number in range(products_made, products_made + count):
            vectors = normal_vectors(inputs, self.param_groups[0]["seed"], number)
            products = products_with(outputs, inputs, [vectors[place] for place in rows])
            if all_finite(products):
                self._add(parameters, vectors, products)
            elif all_finite([parameter.grad for parameter in inputs if parameter.grad is not None]):
                self._warn_not_finite()

    def _add(self, parameters: list[tuple[dict[str, Any], Tensor]], vectors: list[Tensor], products: list[Tensor]) -> None:
        for (group, parameter), vector, plain in zip(parameters, vectors, products, strict=True):
            product = (-plain if group["maximize"] else plain).add(vector, alpha=group["weight_decay"])
            state = self.state[parameter]
            if "products" not in state:
                state |= {"products": 0, "curvature_square": torch.zeros_like(parameter)}
            state["curvature_square"].addcmul_(product, product)
            state["products"] += 1

    def _warn_not_finite(self) -> None:
        if not any(state.get("products", 0) for state in self.state.values()):
            raise LossError(
                "the first Hessian product must be finite, it is not, although the gradients are: the second derivative of "
                "the loss does not exist at these weights, as that of a norm at 0 does not"
            )
        warnings.warn("a Hessian product is not finite and is left out", NotMeasuredWarning, stacklevel=5)
