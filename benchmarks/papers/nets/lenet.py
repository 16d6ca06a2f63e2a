"""LeNet as Caffe has it (examples/mnist/lenet_train_test.prototxt), which the super-convergence paper trains on MNIST."""

import math

from torch import Tensor, nn


class LeNet(nn.Module):
    """Two convolutions and two fully connected layers, for grey images of 28 x 28 in [0, 1]."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, 5)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.pool = nn.MaxPool2d(2)
        self.ip1 = nn.Linear(50 * 4 * 4, 500)
        self.ip2 = nn.Linear(500, classes)
        for layer in (self.conv1, self.conv2, self.ip1, self.ip2):
            xavier(layer)

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        x = self.pool(self.conv2(self.pool(self.conv1(images))))
        return self.ip2(self.ip1(x.flatten(1)).relu())


def xavier(layer: nn.Conv2d | nn.Linear, bias: float = 0.0) -> None:
    """Caffe's "xavier" filler: uniform weights of variance 1 / inputs of a unit; a constant for the biases."""
    assert layer.bias is not None
    reach = math.sqrt(3 / layer.weight[0].numel())
    nn.init.uniform_(layer.weight, -reach, reach)
    nn.init.constant_(layer.bias, bias)
