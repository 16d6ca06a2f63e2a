"""The recipes train, from files in the formats of the originals; they can be pickled, and their batches go on elsewhere."""

import pickle
from functools import partial

import numpy as np
import pytest
import torch
from benchmarks.papers import policies, recipes
from benchmarks.papers.data import MissingDataError
from benchmarks.papers.nets.caffe_sgd import CaffeSGD

NUMBER = 60


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """CIFAR-10 and CIFAR-100 in binary form, and MNIST; the colour of an image tells its class."""
    folder, draws = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for name, files, coarse in [
        ("cifar-10-batches-bin", [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"], False),
        ("cifar-100-binary", ["train.bin", "test.bin"], True),
    ]:
        (folder / name).mkdir()
        for file in files:
            labels = draws.integers(0, 10, NUMBER, np.uint8)
            images = draws.integers(0, 30, (NUMBER, 3, 32, 32), np.uint8) + 20 * labels[:, None, None, None]
            columns = [labels[:, None]] * (1 + coarse)
            (folder / name / file).write_bytes(np.concatenate([*columns, images.reshape(NUMBER, -1)], 1).tobytes())
    grey = draws.integers(0, 256, (NUMBER, 28, 28), np.uint8)
    np.savez(folder / "mnist.npz", x_train=grey, y_train=labels, x_test=grey, y_test=labels)
    return folder


@pytest.mark.parametrize(
    "build",
    [
        recipes.cifar10_full,
        lambda **options: recipes.cifar10_full("torch", **options),
        recipes.cifar10_full_sigmoid,
        *(partial(recipes.cifar10_full, optimizer=optimizer) for optimizer in recipes.TABLE_3.values()),
        lambda **options: recipes.resnet(1, 100, **options),
        lambda **options: recipes.resnet(1, survival=0.5, **options),
        lambda **options: recipes.densenet(10, 4, **options),
        lambda **options: recipes.wide_resnet(10, 1, **options),
        recipes.lenet,
    ],
)
def test_recipes_train_and_can_be_pickled(place, monkeypatch, build):
    monkeypatch.setenv("LEARNRATE_DATA", str(place))
    recipe = pickle.loads(pickle.dumps(build(batch=10, validation=20)))
    assert "original" in recipe.name
    losses = []
    for seed in (3, 3, 4):
        trainable = recipe.trainable(seed)
        losses.append([float(trainable.update(0.001)["loss"]) for _ in range(3)])
        assert np.isfinite(losses[-1]).all()
    assert losses[0] == losses[1] != losses[2]
    assert 0 <= trainable.evaluate()["accuracy"] <= 100


def test_a_schedule_gives_the_weights_their_lr_and_the_biases_twice_it(place, monkeypatch):
    monkeypatch.setenv("LEARNRATE_DATA", str(place))
    trainable = recipes.cifar10_full(batch=10).trainable(0, test=True)
    trainable.update(0.004)
    [optimizer] = trainable.optimizers.values()
    assert isinstance(optimizer, CaffeSGD)
    assert [group["lr"] for group in optimizer.param_groups] == [0.004, 0.008, 0.004, 0.008]


def test_table_3_has_an_optimizer_for_each_row_with_its_lower_bound():
    assert {name: build.keywords["lr"] for name, build in recipes.TABLE_3.items()} == {
        name: base for name, (base, *_) in policies.TABLE_3.items()
    }


@pytest.mark.parametrize("updates", [0, 3, 30, 31])
def test_a_training_that_is_restored_sees_the_same_batches(place, monkeypatch, updates):
    """Also in the middle of an epoch of 30 updates, and at its end; and in augmentation."""
    monkeypatch.setenv("LEARNRATE_DATA", str(place))
    trainable = recipes.resnet(1, batch=10).trainable(0, test=True)
    for _ in range(updates):
        trainable.update(0.01)
    state = trainable.save()
    first = [float(trainable.update(0.01)["loss"]) for _ in range(4)]
    trainable.restore(state)
    assert [float(trainable.update(0.01)["loss"]) for _ in range(4)] == first
    trainable.release(state)


def test_the_validation_images_do_not_train(place, monkeypatch):
    monkeypatch.setenv("LEARNRATE_DATA", str(place))
    recipe = recipes.cifar10_full(batch=10, validation=290)
    [(first, _)], [(second, _)] = recipe.batches(), recipe.batches()
    # Ten images train, in any order; the mean image is theirs.
    torch.testing.assert_close(first.sum(0), torch.zeros(3, 32, 32), atol=1e-3, rtol=0)
    torch.testing.assert_close(first.sum((1, 2, 3)).sort()[0], second.sum((1, 2, 3)).sort()[0])
    with pytest.raises(ValueError, match="validation"):
        recipes.cifar10_full(validation=300).batches()


@pytest.mark.parametrize("build", recipes.RECIPES)
def test_missing_data_is_one_line(tmp_path, monkeypatch, build):
    monkeypatch.setenv("LEARNRATE_DATA", str(tmp_path))
    with pytest.raises(MissingDataError, match="LEARNRATE_DATA"):
        build()
