"""Batches of images in memory: what an epoch is, and that another process takes them up where one stopped."""

import pickle

import pytest
import torch
from benchmarks.papers.data import ImageBatches, Subset
from benchmarks.papers.data.batches import channel_statistics, crop_and_flip, mean_image
from benchmarks.papers.nets.caffe_groups import cifar10_full_groups
from benchmarks.papers.nets.caffe_sgd import CaffeSGD
from benchmarks.papers.nets.cifar10_full import Cifar10Full

IMAGES = Subset(torch.randint(256, (23, 3, 8, 8), dtype=torch.uint8), torch.arange(23))
MEAN = torch.zeros(3, 1, 1)


def batches(seed=0, augment=None):
    return ImageBatches(IMAGES, 5, seed, MEAN, augment=augment)


def endless(source):
    while True:
        yield from source


def test_an_epoch_has_each_image_once_and_the_next_one_another_order():
    source = batches()
    first, second = ([labels for _, labels in source] for _ in range(2))
    assert len(source) == len(first) == 4
    assert len(set(torch.cat(first).tolist())) == 20
    assert not torch.equal(torch.cat(first), torch.cat(second))


def test_images_belong_to_their_labels_and_are_centred():
    mean = mean_image(IMAGES)
    for images, labels in ImageBatches(IMAGES, 5, 0, mean):
        torch.testing.assert_close(images, IMAGES.images[labels] - mean)


@pytest.mark.parametrize("augment", [None, crop_and_flip])
@pytest.mark.parametrize("drawn", [0, 1, 3, 4, 5, 9])
def test_batches_go_on_where_they_were(augment, drawn):
    source = batches(augment=augment)
    stream = endless(source)
    for _ in range(drawn):
        next(stream)
    state = pickle.dumps(source.state_dict())
    expected = [next(stream) for _ in range(9)]
    other = batches(seed=1, augment=augment)
    next(iter(other))
    other.load_state_dict(pickle.loads(state))
    resumed = endless(other)
    for images, labels in expected:
        again, its_labels = next(resumed)
        assert torch.equal(images, again)
        assert torch.equal(labels, its_labels)
    assert other.state_dict()["epoch"] == source.state_dict()["epoch"]


def test_after_a_restore_in_mid_epoch_only_the_first_iteration_goes_on():
    source = batches()
    next(iter(source))
    source.load_state_dict(source.state_dict())
    assert [len(list(source)), len(list(source))] == [3, 4]


def test_statistics_are_those_of_all_pixels():
    mean, deviation = channel_statistics(IMAGES)
    pixels = IMAGES.images.double()
    torch.testing.assert_close(mean.flatten().double(), pixels.mean((0, 2, 3)))
    torch.testing.assert_close(deviation.flatten().double(), pixels.permute(1, 0, 2, 3).flatten(1).std(1, correction=0))


def test_a_view_is_a_window_of_the_padded_image_or_its_mirror_image():
    images = torch.randn(256, 2, 5, 5)
    views = crop_and_flip(images, torch.Generator().manual_seed(0), padding=1)
    padded = torch.nn.functional.pad(images, [1] * 4)
    kinds = set()
    for number, view in enumerate(views):
        windows = {
            (top, left, mirrored): padded[number, :, top : top + 5, left : left + 5].flip(-1 if mirrored else ())
            for top in range(3)
            for left in range(3)
            for mirrored in (False, True)
        }
        kinds |= {kind for kind, window in windows.items() if torch.equal(window, view)}
    assert kinds == {(top, left, mirrored) for top in range(3) for left in range(3) for mirrored in (False, True)}


@pytest.mark.parametrize("nesterov", [False, True])
def test_caffes_velocity_holds_the_lr(nesterov):
    """Against the formulas, while the LR changes; torch's SGD gives something else then."""
    weights = [torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64)) for _ in range(2)]
    optimizer = CaffeSGD([weights[0]], lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=nesterov)
    other = torch.optim.SGD([weights[1]], lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=nesterov)
    w, v = weights[0].detach().clone(), torch.zeros(2, dtype=torch.float64)
    for update, lr in enumerate((0.1, 0.1, 0.01, 0.2)):
        for weight, stepped in zip(weights, (optimizer, other), strict=True):
            stepped.param_groups[0]["lr"] = lr
            weight.grad = 3 * weight.detach()
            stepped.step()
        before, v = v, 0.9 * v + lr * (3 * w + 0.01 * w)
        w = w - (1.9 * v - 0.9 * before if nesterov else v)
        torch.testing.assert_close(weights[0].detach(), w)
        assert torch.allclose(*weights) == (update < 2)  # the two first updates have one LR


def test_multipliers_are_those_of_caffe():
    model = Cifar10Full()
    assert sum(parameter.numel() for parameter in model.parameters()) == 89_578
    multipliers = {}
    for group in cifar10_full_groups(model, weight_decay=0.004):
        for parameter in group["params"]:
            multipliers[id(parameter)] = group["lr_scale"], group["weight_decay"] / 0.004
    named = {name: multipliers[id(parameter)] for name, parameter in model.named_parameters()}
    assert named == {
        "conv1.weight": (1, 1), "conv1.bias": (2, 1), "conv2.weight": (1, 1), "conv2.bias": (2, 1),
        "conv3.weight": (1, 1), "conv3.bias": (1, 1), "ip1.weight": (1, 250), "ip1.bias": (2, 0),
    }  # fmt: skip
