"""The range test of a GAN: a sweep of both optimizers, then of the discriminator's alone; three seeds each."""

import math

import torch
from reporting import report
from torch import nn
from torch.nn.functional import softplus

import learnrate as lr


def ring():
    """An endless stream of batches: 128 points of eight Gaussians on a circle."""
    while True:
        angles = torch.randint(8, (128,)) * math.pi / 4
        yield torch.stack([angles.cos(), angles.sin()], 1) + 0.05 * torch.randn(128, 2)


def mlp(inputs, outputs):
    """Two hidden layers."""
    return nn.Sequential(
        nn.Linear(inputs, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, outputs)
    )


def discriminator_loss(gan, real):
    """The loss of telling real points from generated ones."""
    generated = gan["generator"](torch.randn(128, 4)).detach()
    return softplus(-gan["discriminator"](real)).mean() + softplus(gan["discriminator"](generated)).mean()


def generator_loss(gan, real):
    """The loss of generating points that look real (non-saturating)."""
    return softplus(-gan["discriminator"](gan["generator"](torch.randn(128, 4)))).mean()


torch.manual_seed(0)
gan = nn.ModuleDict({"discriminator": mlp(2, 1), "generator": mlp(4, 2)})
optimizer = {name: torch.optim.Adam(part.parameters(), lr=1e-4, betas=(0.5, 0.999)) for name, part in gan.items()}
loss = {"discriminator": discriminator_loss, "generator": generator_loss}  # they take turns on each batch

both = lr.torch.range_test(gan, optimizer, ring, loss, low=1e-6, high=1.0, stop=None, seed=(0, 1, 2))
# The generator keeps its LR of 1e-4: how high may the LR of the discriminator be?
alone = lr.torch.range_test(gan, optimizer, ring, loss, low=1e-6, high=1.0, stop=None, seed=(0, 1, 2), only="discriminator")
# In the sum of both losses the gain of one network is the loss of the other, so the bounds are read off one of them.
report(both=both.of("discriminator"), discriminator_alone=alone)
