"""Networks whose width and depth are arguments."""

import torch
from torch import Tensor, nn

CHARACTERS = 65
"""Different characters of tinyshakespeare."""


def plain_mlp(width: int, depth: int) -> nn.Module:
    """Images of 28 x 28 pixels to ten classes: ReLU, He's initialisation, no normalisation."""
    layers: list[nn.Module] = [nn.Flatten()]
    inputs = 784
    for _ in range(depth):
        layers += [nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    net = nn.Sequential(*layers, nn.Linear(inputs, 10))
    for layer in net:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    return net


def normalised_mlp(width: int, depth: int) -> nn.Module:
    """Thirteen numbers to one: SiLU, layer norm, torch's initialisation."""
    layers: list[nn.Module] = []
    inputs = 13
    for _ in range(depth):
        layers += [nn.Linear(inputs, width), nn.LayerNorm(width), nn.SiLU()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, 1))


class Residual(nn.Module):
    """Two convolutions with batch norm and the connection around them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features of the same size."""
        return nn.functional.relu(x + self.inner(x))


def residual_cnn(width: int, depth: int) -> nn.Module:
    """Images of 3 x 32 x 32 to ten classes: a stem to 8 x 8, residual blocks, average pooling."""
    stem = [nn.Conv2d(3, width, 5, stride=4, padding=2, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    blocks = [Residual(width) for _ in range(depth)]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * width, 10))


def plain_cnn(width: int, depth: int) -> nn.Module:
    """Images of 1 x 28 x 28 to ten classes: convolutions with ReLU at 7 x 7, no normalisation."""
    layers: list[nn.Module] = [nn.Conv2d(1, width, 5, stride=4, padding=2), nn.ReLU()]
    for _ in range(depth):
        layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AvgPool2d(3, 2), nn.Flatten(), nn.Linear(9 * width, 10))


def layers_of(width: int, depth: int) -> nn.TransformerEncoder:
    """Pre-norm transformer layers with four heads, without dropout."""
    layer = nn.TransformerEncoderLayer(
        width, 4, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    return nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)


class GPT(nn.Module):
    """A causal transformer that predicts the next character."""

    def __init__(self, width: int, depth: int, length: int) -> None:
        super().__init__()
        self.characters, self.places = nn.Embedding(CHARACTERS, width), nn.Embedding(length, width)
        self.layers = layers_of(width, depth)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, CHARACTERS)
        self.register_buffer("mask", torch.triu(torch.full((length, length), float("-inf")), diagonal=1))

    def forward(self, text: Tensor) -> Tensor:
        """Scores of the next character, for each place."""
        tokens = self.characters(text) + self.places.weight
        return self.head(self.norm(self.layers(tokens, mask=self.mask))).flatten(0, 1)


class VisionTransformer(nn.Module):
    """Sixteen patches of an image of 28 x 28 pixels to ten classes, by the mean over the patches."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, width, 7, stride=7)
        self.places = nn.Parameter(0.02 * torch.randn(1, 16, width))
        self.layers = layers_of(width, depth)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of the ten classes."""
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.places
        return self.head(self.norm(self.layers(tokens)).mean(1))
