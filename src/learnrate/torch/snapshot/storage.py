"""Where copies of tensors live: on the device of the originals, in main memory, or on disk."""

import os
import tempfile
import weakref
from collections.abc import Callable, Iterable
from io import FileIO
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from learnrate import checks
from learnrate.errors import OutputError

CopyTo = Literal["auto", "device", "cpu", "disk"]

ROOM = 0.5
"""The share of the free memory that a copy may take under "auto": the training that follows needs the rest."""


def local(tensor: Tensor) -> Tensor:
    """This process's shard of a distributed tensor (`DTensor`), or the tensor itself."""
    shard: Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return shard


def distinct(tensor: Tensor) -> Tensor:
    """The elements of a tensor that have memory of their own, as a view: one of each that an expanded tensor repeats."""
    if tensor.layout != torch.strided or tensor.is_quantized:
        return tensor
    sizes, strides = tensor.shape, tensor.stride()
    if any(stride == 0 and size > 1 for size, stride in zip(sizes, strides, strict=True)):
        sizes = torch.Size(1 if stride == 0 else size for size, stride in zip(sizes, strides, strict=True))
    # Windows that overlap, as `unfold` and `as_strided` make them, leave no gaps: all memory in their range.
    extent = 1 + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    if 0 < extent < sizes.numel():
        sizes, strides = torch.Size([extent]), (1,)
    return tensor if sizes == tensor.shape else tensor.as_strided(sizes, strides)


def size_of(tensors: Iterable[Tensor]) -> int:
    """Bytes of a copy of these tensors."""
    shards = [local(tensor.detach()) for tensor in tensors]
    return sum(shard.element_size() * shard._nnz() if shard.is_sparse else distinct(shard).nbytes for shard in shards)


def choose_location(copy_to: CopyTo, tensors: Iterable[Tensor]) -> Literal["device", "cpu", "disk"]:
    """Where to put a copy of these tensors: the given location, or under "auto" the nearest one with room.

    Raises:
        ArgumentError: if `copy_to` is not one of the four words.
    """
    checks.choice("copy_to", copy_to, ("auto", "device", "cpu", "disk"))
    if copy_to != "auto":
        return copy_to
    needed: dict[torch.device, int] = {}
    for tensor in tensors:
        needed[tensor.device] = needed.get(tensor.device, 0) + size_of([tensor])
    if all(size <= ROOM * _free(device) for device, size in needed.items()):
        return "device"
    return "cpu" if sum(needed.values()) <= ROOM * _free(torch.device("cpu")) else "disk"


def _free(device: torch.device) -> float:
    """Free bytes on a device; infinite if they are not known."""
    if device.type == "cpu":
        try:
            lines = Path("/proc/meminfo").read_text().splitlines()
        except OSError:
            return float("inf")
        free = next((1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), float("inf"))
        # Every process of a node sees the same free memory.
        return min(free, _left_in_container()) / int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if device.type == "cuda":
        # Memory in torch's cache is free for torch.
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return float(torch.cuda.mem_get_info(device)[0] + cached)
    return float("inf")


def _left_in_container() -> float:
    """Bytes that a container may still take (control groups, version 2)."""
    try:
        most, used = (Path(f"/sys/fs/cgroup/memory.{name}").read_text().strip() for name in ("max", "current"))
    except OSError:
        return float("inf")
    return float("inf") if most == "max" else float(int(most) - int(used))


class TensorStorage:
    """Copies of tensors.

    Attributes:
        where: "device", "cpu" or "disk".
        size: Bytes of all copies.

    Raises:
        OutputError: if no file can be created for a copy on disk.
    """

    def __init__(self, where: Literal["device", "cpu", "disk"]) -> None:
        self.where, self.size = where, 0
        self._file: FileIO | None = None
        if where == "disk":
            # The file has no name in the file system, so that it ends with the process, however that ends. It is not
            # buffered, because a buffer would report a full disk only when it is closed.
            try:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
            except OSError as error:
                raise _no_room(error) from error
            self._closed = weakref.finalize(self, self._file.close)

    def store(self, tensor: Tensor) -> Callable[[], Tensor]:
        """Copy the `distinct` elements of a tensor.

        Returns:
            A function that returns the copy.

        Raises:
            OutputError: if the disk is full.
        """
        shard = distinct(local(tensor.detach())).resolve_conj().resolve_neg()
        self.size += size_of([shard])
        if self._file is not None and shard.layout == torch.strided and not shard.is_quantized:
            return self._write(self._file, shard)
        stored = shard.clone() if self.where == "device" else shard.to("cpu", copy=True)
        return lambda: stored

    def close(self) -> None:
        """Free the space on disk."""
        if self._file is not None:
            self._closed()

    def _write(self, file: FileIO, shard: Tensor) -> Callable[[], Tensor]:
        offset = file.seek(0, os.SEEK_END)
        try:
            unwritten = memoryview(as_bytes(shard.cpu()).numpy().data)
            while unwritten:
                unwritten = unwritten[file.write(unwritten) :]
        except OSError as error:
            self.close()
            raise _no_room(error) from error
        shape, dtype = shard.shape, shard.dtype

        def read() -> Tensor:
            stored = torch.empty(shape, dtype=dtype)
            file.seek(offset)
            unread = memoryview(as_bytes(stored).numpy().data)
            while unread:
                unread = unread[file.readinto(unread) :]
            return stored

        return read


def _no_room(error: OSError) -> OutputError:
    return OutputError(
        f"cannot keep a copy on disk: {error.strerror or error}: set TMPDIR to a folder with more room, "
        "or give copy_to='cpu'"
    )


def as_bytes(tensor: Tensor) -> Tensor:
    """The bytes of a strided tensor, in the order of its elements; of a contiguous tensor a view, not a copy."""
    flat = tensor.contiguous().reshape(-1)
    flat = flat.as_strided(flat.shape, (1,))  # the stride of a single element may be anything
    return (torch.view_as_real(flat).reshape(-1) if flat.is_complex() else flat).view(torch.uint8)
