"""Images as the quantised DCT coefficients of their JPEG files; the README beside the data describes the format.

`coef_<part>` has the axes (frequency 8 * v + u, block, image), with the blocks of the luma plane first, row by row, then
those of Cb and Cr, which have half as many rows and columns. `over_idx_<part>` and `over_val_<part>` are the coefficients
beyond int8. Decoding follows the JPEG standard (ITU-T T.81, A.3.3) and the triangle filter for chroma that is usual in
decoders; sums of the inverse DCT are exact integers, so that the pixels do not depend on the linear algebra library.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CACHE = Path(__file__).resolve().parents[3] / ".cache" / "papers"
"""Decoded images are kept here, outside version control."""

EXACT = 20
"""Binary digits of the basis of the inverse DCT after the point: products with integer coefficients fit a double exactly."""

IMAGES_AT_ONCE = 2000


def decoded(path: Path, part: str, cache: Path = CACHE) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A part, "train" or "test", decoded at the first call and kept: images (number, 3, size, size), and labels."""
    stamp = path.stat()
    kept = cache / f"{path.stem}-{part}-{stamp.st_size:x}-{stamp.st_mtime_ns:x}.npy"
    with np.load(path) as arrays:
        labels = arrays[f"y_{part}"]
        if kept.is_file():
            return np.load(kept), labels
        images = decode(Coefficients.read(arrays, part))
    kept.parent.mkdir(parents=True, exist_ok=True)
    unfinished = kept.with_name(f"{kept.stem}.{os.getpid()}.npy")  # another process may decode the same file
    np.save(unfinished, images)
    unfinished.replace(kept)
    return images, labels


@dataclass(frozen=True, eq=False)
class Coefficients:
    """The quantised coefficients of images: (64, blocks, images), with the quantisation steps of luma and chroma."""

    values: NDArray[np.int16]
    luma_steps: NDArray[np.uint8]
    chroma_steps: NDArray[np.uint8]
    size: int

    @classmethod
    def read(cls, arrays: "np.lib.npyio.NpzFile", part: str) -> "Coefficients":
        """The coefficients of a part, with those beyond int8 at their places."""
        values = arrays[f"coef_{part}"].astype(np.int16)
        values.reshape(-1)[arrays[f"over_idx_{part}"]] = arrays[f"over_val_{part}"]
        return cls(values, arrays["q_luma"], arrays["q_chroma"], int(arrays["size"]))

    def planes(self) -> Iterator[tuple[slice, list[NDArray[np.float32]]]]:
        """For some images at a time: their rows, and their planes Y, Cb and Cr, the latter at half the resolution."""
        side = self.size // 8
        luma, chroma = side * side, (side // 2) ** 2
        for start in range(0, self.values.shape[2], IMAGES_AT_ONCE):
            rows = slice(start, start + IMAGES_AT_ONCE)
            y, cb, cr = np.split(self.values[:, :, rows], [luma, luma + chroma], axis=1)
            yield (
                rows,
                [
                    _plane(y, self.luma_steps, side),
                    _plane(cb, self.chroma_steps, side // 2),
                    _plane(cr, self.chroma_steps, side // 2),
                ],
            )


def decode(coefficients: Coefficients) -> NDArray[np.uint8]:
    """Images (number, 3, size, size) in red, green and blue."""
    size = coefficients.size
    images = np.empty((coefficients.values.shape[2], 3, size, size), np.uint8)
    for rows, (y, cb, cr) in coefficients.planes():
        blueness, redness = _full_size(cb) - 128, _full_size(cr) - 128
        red, blue = y + 1.402 * redness, y + 1.772 * blueness  # ITU-T T.871, 7
        green = y - 0.344136 * blueness - 0.714136 * redness
        for channel, plane in enumerate((red, green, blue)):
            images[rows, channel] = np.clip(np.rint(plane), 0, 255)
    return images


def _inverse_dct() -> NDArray[np.float64]:
    """The matrix from 64 coefficients to 64 pixels, in units of 2 ** -EXACT."""
    frequency = np.arange(8)
    waves = np.cos((2 * frequency[:, None] + 1) * frequency * np.pi / 16) * np.where(frequency, 0.5, 0.125**0.5)
    basis: NDArray[np.float64] = np.rint(np.kron(waves, waves) * 2**EXACT)
    return basis


def _plane(blocks: NDArray[np.int16], steps: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """Blocks (64, side * side, number) as pixels (number, 8 * side, 8 * side) of whole values from 0 to 255."""
    scaled = blocks.reshape(64, -1) * steps.astype(np.float64)[:, None]
    pixels = np.clip(np.rint(_inverse_dct() @ scaled / 2**EXACT + 128), 0, 255).astype(np.float32)
    in_place: NDArray[np.float32] = pixels.reshape(8, 8, side, side, -1).transpose(4, 2, 0, 3, 1)
    return in_place.reshape(-1, 8 * side, 8 * side)


def _full_size(plane: NDArray[np.float32]) -> NDArray[np.float64]:
    """A chroma plane at twice its rows and columns: each pixel is 3/4 of the nearest and 1/4 of the next one."""
    wide = _twice_as_wide(_twice_as_wide(plane.swapaxes(1, 2)).swapaxes(1, 2))
    rounding = 8.0 - np.arange(wide.shape[2]) % 2  # libjpeg alternates, so that halves do not drift
    return np.floor((wide + rounding) / 16)


def _twice_as_wide(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Four times the pixels between the columns."""
    padded = np.pad(plane, [(0, 0), (0, 0), (1, 1)], "edge")
    wide = np.empty((*plane.shape[:2], 2 * plane.shape[2]), np.float32)
    wide[..., 0::2] = 3 * plane + padded[..., :-2]
    wide[..., 1::2] = 3 * plane + padded[..., 2:]
    return wide
