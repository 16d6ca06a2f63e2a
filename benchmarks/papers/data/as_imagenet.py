"""Write images in ImageNet's format: JPEG files in class folders, or in tar shards, as the real loaders read them.

python -m benchmarks.papers.data.as_imagenet FOLDER                        # 100 classes of Tiny-ImageNet, class folders
python -m benchmarks.papers.data.as_imagenet FOLDER --form shards --each 5
LEARNRATE_DATA=FOLDER make paper NAME=small-imagenet
"""

import argparse
import io
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.papers.data import dct
from benchmarks.papers.data.sources import MissingDataError, folder

Labelled = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Images (number, 3, height, width), and the number of the class of each."""

SHARDS = 2
"""Shards of a part: as many as the workers that read them."""


def write_folders(place: Path, part: str, images: Labelled, names: list[str]) -> None:
    """Write `imagenet/<part>/<class>/<class>_<number>.JPEG`."""
    for number, (content, label) in enumerate(_files(images)):
        target = place / "imagenet" / part / names[label]
        target.mkdir(parents=True, exist_ok=True)
        (target / f"{names[label]}_{number}.JPEG").write_bytes(content)


def write_shards(place: Path, part: str, images: Labelled, names: list[str]) -> None:
    """Write `imagenet/<part>-<number>.tar`, with `key.jpg` and `key.cls` next to each other."""
    (place / "imagenet").mkdir(parents=True, exist_ok=True)
    files = list(enumerate(_files(images)))
    for shard in range(SHARDS):
        with tarfile.open(place / "imagenet" / f"{part}-{shard:04d}.tar", "w") as tar:
            for number, (content, label) in files[shard::SHARDS]:
                for suffix, data in (("jpg", content), ("cls", str(label).encode())):
                    member = tarfile.TarInfo(f"{names[label]}/{number:06d}.{suffix}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))


FORMS: dict[str, Callable[[Path, str, Labelled, list[str]], None]] = {"folders": write_folders, "shards": write_shards}


def _files(images: Labelled) -> Iterator[tuple[bytes, int]]:
    """The content of a JPEG file for each image, and its class.

    Raises:
        MissingDataError: if Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        raise MissingDataError("ImageNet's JPEG files need Pillow: install pillow") from None
    for pixels, label in zip(*images, strict=True):
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(file, "JPEG", quality=90)
        yield file.getvalue(), int(label)


def tiny_imagenet(part: str, per_class: int) -> Labelled:
    """The first images of each of 100 classes of Tiny-ImageNet, 64 x 64 pixels.

    Raises:
        MissingDataError: if they are not there.
    """
    path = folder() / "tiny_imagenet100_dct.npz"
    if not path.is_file():
        raise MissingDataError(f"{path.name} is not in {folder()}: set LEARNRATE_DATA to the folder of data sets")
    images, labels = dct.decoded(path, part)
    rows = [row for label in np.unique(labels) for row in np.flatnonzero(labels == label)[:per_class]]
    return images[rows], labels[rows]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where imagenet/ is written")
    parser.add_argument("--form", choices=FORMS, default="folders")
    parser.add_argument("--each", type=int, default=20, help="images of a class that train; a quarter as many measure")
    options = parser.parse_args()
    if options.each < 1:
        parser.error(f"--each must be at least 1, received {options.each}")
    if list((options.folder / "imagenet").glob("*")):
        parser.error(f"{options.folder / 'imagenet'} must be empty or new: give another folder")
    names = [f"n{number:08d}" for number in range(100)]
    try:
        for part, source, per_class in (("train", "train", options.each), ("val", "test", max(1, options.each // 4))):
            FORMS[options.form](options.folder, part, tiny_imagenet(source, per_class), names)
    except MissingDataError as error:
        print(f"skipped: {error}")
        return 0
    except OSError as error:
        print(f"error: cannot write {options.folder}: {error.strerror or error}", file=sys.stderr)
        return 1
    print(f"written: {options.folder / 'imagenet'}; train with LEARNRATE_DATA={options.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
