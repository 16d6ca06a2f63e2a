"""The nets of the papers: their numbers of parameters as published, the shapes of their outputs, what is special in each."""

import pytest
import torch
from benchmarks.papers.nets import alexnet, googlenet
from benchmarks.papers.nets.caffe_groups import caffe_groups
from benchmarks.papers.nets.cifar10_full import Cifar10Full, Cifar10FullSigmoid
from benchmarks.papers.nets.densenet import DenseNet
from benchmarks.papers.nets.lenet import LeNet
from benchmarks.papers.nets.resnet import ResNet
from benchmarks.papers.nets.wide_resnet import WideResNet


def parameters(net):
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize(
    ("build", "published", "digits"),
    [
        (Cifar10Full, 89_578, 0),
        # He et al. 2015, table 6: 0.27M, 0.85M, 1.7M.
        (lambda: ResNet(3), 0.27e6, -4),
        (lambda: ResNet(9), 0.85e6, -4),
        (lambda: ResNet(18), 1.7e6, -5),
        (lambda: ResNet(18, survival=0.5), 1.7e6, -5),
        # Zagoruyko and Komodakis 2016, table 4: 36.5M and 8.9M.
        (WideResNet, 36.5e6, -5),
        (lambda: WideResNet(40, 4), 8.9e6, -5),
        # Huang et al. 2016, table 2: 1.0M.
        (DenseNet, 1.0e6, -5),
        (LeNet, 431_080, 0),
        (alexnet.AlexNet, 60_965_224, 0),
        (googlenet.GoogLeNet, 13_378_280, 0),
    ],
)
def test_numbers_of_parameters_are_the_published_ones(build, published, digits):
    with torch.device("meta"):
        net = build()
    assert round(parameters(net), digits) == published


@pytest.mark.parametrize(
    ("net", "side", "channels"),
    [
        (Cifar10FullSigmoid(7), 32, 3),
        (ResNet(1, classes=7), 32, 3),
        (ResNet(1, classes=7, survival=0.5), 32, 3),
        (WideResNet(10, 1, classes=7), 32, 3),
        (DenseNet(10, 4, classes=7), 32, 3),
        (LeNet(7), 28, 1),
    ],
)
def test_outputs_and_gradients(net, side, channels):
    torch.manual_seed(0)
    images = torch.randn(4, channels, side, side)
    for _ in range(8):  # a block of stochastic depth is left out in some of them
        net(images).square().sum().backward()
    assert net.eval()(images).shape == (4, 7)
    assert [name for name, parameter in net.named_parameters() if parameter.grad is None or not parameter.grad.any()] == []


@pytest.mark.parametrize(("build", "side"), [(alexnet.AlexNet, alexnet.SIDE), (googlenet.GoogLeNet, googlenet.SIDE)])
def test_nets_for_imagenet_have_their_sizes(build, side):
    with torch.device("meta"):
        net = build(7).eval()
        assert net(torch.zeros(2, 3, side, side)).shape == (2, 7)


def test_the_auxiliary_heads_are_a_part_of_the_loss_in_training_only():
    torch.manual_seed(0)
    with torch.device("meta"):
        outputs = googlenet.GoogLeNet(7)(torch.zeros(2, 3, 224, 224))
    assert [tuple(output.shape) for output in outputs] == [(2, 7)] * 3
    main, first, second = torch.randn(3, 5, 7)
    target = torch.arange(5)
    losses = [torch.nn.functional.cross_entropy(logits, target) for logits in (main, first, second)]
    torch.testing.assert_close(googlenet.loss((main, first, second), target), losses[0] + 0.3 * (losses[1] + losses[2]))
    torch.testing.assert_close(googlenet.loss(main, target), losses[0])


def test_blocks_are_left_out_as_often_as_their_depth_says():
    """Of n blocks the k-th survives with 1 - k / n * (1 - 0.5); its output is scaled by that in evaluation."""
    torch.manual_seed(0)
    net = ResNet(2, survival=0.5)
    assert [block.survival for block in net.blocks] == pytest.approx([1 - k / 6 * 0.5 for k in range(1, 7)])
    last = net.blocks[-1]
    x = torch.randn(1, 64, 4, 4).relu()
    left_out = [torch.equal(last(x), x) for _ in range(400)]
    assert 0.4 < sum(left_out) / 400 < 0.6
    last.eval()
    with torch.no_grad():
        residual = last.norm2(last.conv2(last.norm1(last.conv1(x)).relu()))
        torch.testing.assert_close(last(x), (x + 0.5 * residual).relu())


def test_biases_of_the_imagenet_nets_do_not_decay():
    with torch.device("meta"):
        weights, biases = caffe_groups(alexnet.AlexNet(), 0.0005)
    assert {parameter.ndim for parameter in biases["params"]} == {1}
    assert (biases["lr_scale"], biases["weight_decay"], len(biases["params"])) == (2.0, 0.0, 8)
    assert (weights["lr_scale"], weights["weight_decay"], len(weights["params"])) == (1.0, 0.0005, 8)


@pytest.mark.parametrize(
    "build", [lambda: ResNet(0), lambda: ResNet(1, survival=0.0), lambda: WideResNet(27), lambda: DenseNet(41)]
)
def test_impossible_sizes_are_refused(build):
    with pytest.raises(ValueError, match="received"):
        build()
