"""ImageNet's format: class folders and tar shards, written here with real JPEG files of a few pixels."""

import io
import tarfile

import numpy as np
import pytest
import torch
from benchmarks.papers.data import MissingDataError
from benchmarks.papers.data.class_folders import ClassFolders
from benchmarks.papers.data.imagenet import MEAN, EpochBatches, View, decoded, imagenet
from benchmarks.papers.data.tar_shards import TarShards, read, shuffled

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

VIEW = View(side=8)
NUMBER = 14


def jpeg(number, mode="RGB"):
    """An image of one colour, which tells its number: a JPEG file keeps it within a few steps."""
    file = io.BytesIO()
    colour = (10 * number, 100, 200) if mode == "RGB" else 10 * number
    Image.new(mode, (20 + number, 15), colour).save(file, "JPEG", quality=95)
    return file.getvalue()


def number_of(images):
    """The numbers of images from their red channel."""
    return [round(red / 10) for red in (images[:, 0, 4, 4] + MEAN[0]).tolist()]


@pytest.fixture
def folders(tmp_path):
    for number in range(NUMBER):
        name = tmp_path / "imagenet" / "train" / f"n{number % 3:08d}"
        name.mkdir(parents=True, exist_ok=True)
        (name / f"{name.name}_{number}.JPEG").write_bytes(jpeg(number))
    (name / "notes.txt").write_text("no image")
    return tmp_path


@pytest.fixture
def shards(tmp_path):
    (tmp_path / "imagenet").mkdir()
    for shard in range(2):
        with tarfile.open(tmp_path / "imagenet" / f"train-{shard:04d}.tar", "w") as tar:
            for number in range(shard * 7, shard * 7 + 7):
                add(tar, f"a.b/{number:05d}.jpg", jpeg(number))
                add(tar, f"a.b/{number:05d}.cls", str(number % 3).encode())
    return tmp_path


def add(tar, name, content):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


@pytest.fixture(params=["folders", "shards"])
def place(request, monkeypatch):
    place = request.getfixturevalue(request.param)
    monkeypatch.setenv("LEARNRATE_DATA", str(place))
    return place


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_an_epoch_has_each_image_once_with_its_class_in_an_order_of_its_own(place, workers):
    source = imagenet("train", VIEW, 1, seed=3, workers=workers)
    epochs = []
    for _ in range(2):
        batches = list(source)
        numbers = [number for images, _ in batches for number in number_of(images)]
        assert sorted(numbers) == list(range(NUMBER))
        assert [number % 3 for number in numbers] == [int(label) for _, label in batches]
        epochs.append(numbers)
    assert epochs[0] != epochs[1]
    assert epochs[0] != sorted(epochs[0])


def test_the_parts_that_measure_are_whole_and_in_order(place):
    source = imagenet("train", View(side=8, random=False), 4)
    first, second = ([number for images, _ in source for number in number_of(images)] for _ in range(2))
    in_folders = sorted(range(NUMBER), key=lambda number: (number % 3, str(number)))
    assert first == second == (in_folders if (place / "imagenet" / "train").is_dir() else list(range(NUMBER)))


@pytest.mark.parametrize("drawn", [0, 1, 3, 4, 6])
def test_batches_go_on_where_they_were(place, drawn):
    """Bit for bit, also after the last of the three batches of an epoch."""

    def endless(source):
        while True:
            yield from source

    source, other = (imagenet("train", VIEW, 4, seed=3) for _ in range(2))
    stream = endless(source)
    for _ in range(drawn):
        next(stream)
    other.load_state_dict(source.state_dict())
    resumed = endless(other)
    for _ in range(5):
        for mine, theirs in zip(next(stream), next(resumed), strict=True):
            assert torch.equal(mine, theirs)


def test_an_iteration_left_in_mid_epoch_is_not_repeated(folders):
    source = EpochBatches(ClassFolders(folders / "imagenet" / "train", VIEW, 4))
    first = number_of(next(iter(source))[0])
    assert number_of(next(iter(source))[0]) != first


def test_views_follow_from_the_seed_and_the_number_of_the_epoch_and_not_from_the_worker(folders):
    pixels = np.random.default_rng(0).integers(256, size=(256, 256, 3), dtype=np.uint8)
    view = View(side=200)
    assert torch.equal(view.of(pixels, 1, 2, 3), view.of(pixels, 1, 2, 3))
    views = [view.of(pixels, 1, epoch, 3) for epoch in range(20)]
    assert len({tuple(view.flatten().tolist()) for view in views}) == 20
    centre = View(side=200, random=False).of(pixels)
    expected = pixels[28:228, 28:228].astype(np.float32) - np.array(MEAN, np.float32)
    np.testing.assert_array_equal(centre, expected.transpose(2, 0, 1))


def test_grey_images_have_three_channels():
    assert decoded(jpeg(5, "L"), "grey.jpg").shape == (256, 256, 3)


def test_a_shuffle_buffer_gives_each_example_once_and_only_from_nearby():
    examples = [(str(number), b"", number) for number in range(100)]
    order = [number for *_, number in shuffled(examples, 10, 0)]
    assert sorted(order) == list(range(100))
    assert all(number < place + 10 for place, number in enumerate(order))
    assert [number for *_, number in shuffled(examples, 1, 0)] == list(range(100))


@pytest.mark.parametrize("names", [["1.jpg"], ["1.jpg", "2.jpg", "2.cls"], ["1.cls"], ["1.jpg", "1.png", "1.cls"]])
def test_an_image_without_its_class_is_refused_by_its_key(tmp_path, names):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name in names:
            add(tar, name, b"0")
    with pytest.raises(ValueError, match=r"1 in .*a\.tar.*1\.cls"):
        list(read(tmp_path / "a.tar"))


def test_what_is_broken_is_named(shards, tmp_path):
    path = shards / "imagenet" / "train-0000.tar"
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(ValueError, match=r"train-0000\.tar"):
        list(read(path))
    with pytest.raises(ValueError, match="picture"):
        decoded(b"no JPEG file", "picture")


def test_impossible_requests_are_refused(shards, monkeypatch):
    paths = tuple(sorted((shards / "imagenet").glob("*.tar")))
    with pytest.raises(ValueError, match="3 workers"):
        TarShards(paths, VIEW, 4, workers=3)
    with pytest.raises(ValueError, match="side"):
        View(side=300)
    monkeypatch.setenv("LEARNRATE_DATA", str(shards / "missing"))
    with pytest.raises(MissingDataError, match="LEARNRATE_DATA"):
        imagenet("train", VIEW, 4)
    (shards / "empty" / "class").mkdir(parents=True)
    with pytest.raises(ValueError, match="it holds 0"):
        list(ClassFolders(shards / "empty", VIEW, 4).loader(0, 0))
