"""Optimizers inside optimizers, in the shapes of the libraries that make them."""

import torch


class Prepared(torch.optim.Optimizer):
    """As Accelerate's AcceleratedOptimizer: an Optimizer by type that passes everything on, without its constructor."""

    def __init__(self, optimizer):
        self.optimizer = optimizer

    @property
    def param_groups(self):
        return self.optimizer.param_groups

    @param_groups.setter
    def param_groups(self, groups):
        self.optimizer.param_groups = groups

    @property
    def state(self):
        return self.optimizer.state

    @property
    def defaults(self):
        return self.optimizer.defaults

    def zero_grad(self, set_to_none=True):
        self.optimizer.zero_grad(set_to_none)

    def state_dict(self):
        return self.optimizer.state_dict()

    def load_state_dict(self, state_dict):
        self.optimizer.load_state_dict(state_dict)

    def step(self, closure=None):
        return self.optimizer.step(closure)


class SAM(torch.optim.Optimizer):
    """Sharpness-aware minimisation: an update is first_step, a second backward pass, second_step."""

    def __init__(self, params, base_optimizer, rho=0.05, **more):
        super().__init__(params, {"rho": rho, **more})
        self.base_optimizer = base_optimizer(self.param_groups, **more)
        self.param_groups = self.base_optimizer.param_groups

    @torch.no_grad()
    def first_step(self, zero_grad=False):
        parameters = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        norm = torch.stack([p.grad.norm() for p in parameters]).norm() + 1e-12
        for p in parameters:
            self.state[p]["before"] = p.clone()
            p.add_(p.grad * self.param_groups[0]["rho"] / norm)
        if zero_grad:
            self.zero_grad()

    @torch.no_grad()
    def second_step(self, zero_grad=False):
        for group in self.param_groups:
            for p in group["params"]:
                if "before" in self.state[p]:
                    p.copy_(self.state[p]["before"])
        self.base_optimizer.step()
        if zero_grad:
            self.zero_grad()

    @torch.no_grad()
    def step(self, closure=None):
        if closure is None:
            raise TypeError("SAM needs a closure")
        self.first_step(zero_grad=True)
        torch.enable_grad()(closure)()
        self.second_step()


class Lookahead(torch.optim.Optimizer):
    """As timm's: hooks of its own that nothing calls, and slow weights beside those of the optimizer inside."""

    def __init__(self, base_optimizer, alpha=0.5, every=2):
        self._optimizer_step_pre_hooks, self._optimizer_step_post_hooks = {}, {}
        self._base_optimizer = base_optimizer
        self.param_groups, self.defaults = base_optimizer.param_groups, base_optimizer.defaults
        self.state = {"slow": [p.detach().clone() for group in self.param_groups for p in group["params"]], "steps": 0}
        self.alpha, self.every = alpha, every

    @torch.no_grad()
    def step(self, closure=None):
        self._base_optimizer.step(closure)
        self.state["steps"] += 1
        if self.state["steps"] % self.every == 0:
            parameters = [p for group in self.param_groups for p in group["params"]]
            for slow, p in zip(self.state["slow"], parameters, strict=True):
                slow.lerp_(p, self.alpha)
                p.copy_(slow)
