"""Where the copies of tensors live while something is borrowed: beside them, in main memory, or on disk."""

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
"""The share of the free memory that a copy may take without asking: the training that follows needs the rest."""


def local(tensor: Tensor) -> Tensor:
    """This process's part of a tensor that is spread over several (`DTensor`), or the tensor itself."""
    part: Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return part


def size_of(tensors: Iterable[Tensor]) -> int:
    """Bytes of their elements."""
    return sum(part.element_size() * part._nnz() if part.is_sparse else part.nbytes for part in map(local, tensors))


def place(copy_to: CopyTo, tensors: Iterable[Tensor]) -> Literal["device", "cpu", "disk"]:
    """Where to put a copy of these tensors: where it was asked for, or the nearest place with room.

    Raises:
        ArgumentError: if `copy_to` is none of the four words.
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
    """Bytes that are free on a device; infinite where nothing tells."""
    if device.type == "cpu":
        try:
            lines = Path("/proc/meminfo").read_text().splitlines()
        except OSError:
            return float("inf")
        free = next((1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), float("inf"))
        # Every process of a node sees the same free memory.
        return min(free, _left_in_container()) / int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if device.type == "cuda":
        # What torch holds in its cache is free for torch.
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


class Vault:
    """Copies of tensors.

    Attributes:
        where: "device", "cpu" or "disk".
        size: Bytes of all copies.
    """

    def __init__(self, where: Literal["device", "cpu", "disk"]) -> None:
        self.where, self.size = where, 0
        self._file: FileIO | None = None
        if where == "disk":
            # Has no name in the file system: it is gone with the process, however that ends. Not buffered: a buffer would
            # only meet the full disk later, when it is closed.
            try:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
            except OSError as error:
                raise _no_room(error) from error
            self._closed = weakref.finalize(self, self._file.close)

    def keep(self, tensor: Tensor) -> Callable[[], Tensor]:
        """Copy a tensor; returns a function that gives the copy.

        Raises:
            OutputError: if the disk is full.
        """
        part = local(tensor.detach()).resolve_conj().resolve_neg()
        self.size += size_of([part])
        if self._file is not None and part.layout == torch.strided and not part.is_quantized:
            return self._write(self._file, part)
        copied = part.clone() if self.where == "device" else part.to("cpu", copy=True)
        return lambda: copied

    def close(self) -> None:
        """Give the room on disk back."""
        if self._file is not None:
            self._closed()

    def _write(self, file: FileIO, part: Tensor) -> Callable[[], Tensor]:
        offset = file.seek(0, os.SEEK_END)
        try:
            left = memoryview(_as_bytes(part.cpu()).numpy().data)
            while left:
                left = left[file.write(left) :]
        except OSError as error:
            self.close()
            raise _no_room(error) from error
        shape, dtype = part.shape, part.dtype

        def read() -> Tensor:
            copied = torch.empty(shape, dtype=dtype)
            file.seek(offset)
            left = memoryview(_as_bytes(copied).numpy().data)
            while left:
                left = left[file.readinto(left) :]
            return copied

        return read


def _no_room(error: OSError) -> OutputError:
    return OutputError(
        f"cannot keep a copy on disk: {error.strerror or error}: set TMPDIR to a folder with more room, "
        "or give copy_to='cpu'"
    )


def _as_bytes(tensor: Tensor) -> Tensor:
    """The bytes of a tensor, in the order of its elements; of a contiguous tensor its own bytes, not a copy."""
    flat = tensor.contiguous().reshape(-1)
    return (torch.view_as_real(flat).reshape(-1) if flat.is_complex() else flat).view(torch.uint8)
