"""How to put back what an object refers to: the entries of a container, attributes and slots, a nonlocal variable."""

from collections.abc import Collection
from types import CellType, MemberDescriptorType
from typing import Any

from learnrate.torch.snapshot.parts import Undo


def attributes(value: Any) -> dict[str, Any]:
    """The attributes of an object by name, those in slots included."""
    present = {name: slot.__get__(value) for name, slot in _slots(value).items() if hasattr(value, name)}
    return present | (vars(value) if hasattr(value, "__dict__") else {})


def instance(value: Any) -> Undo:
    """Which attributes an object has."""
    restore = [mapping(vars(value)) if hasattr(value, "__dict__") else lambda: None]
    restore += [_slot(value, slot) for slot in _slots(value).values()]

    def undo() -> None:
        for put_back in restore:
            put_back()

    return undo


def variable(cell: CellType) -> tuple[Undo, list[Any]]:
    """A nonlocal variable, which may have no value yet; and its value, if it has one."""
    try:
        before = [cell.cell_contents]
    except ValueError:
        before = []

    def undo() -> None:
        try:
            present = [cell.cell_contents]
        except ValueError:
            present = []
        if _same(present, before):
            return
        if before:
            cell.cell_contents = before[0]
        else:
            del cell.cell_contents

    return undo, before


def mapping(entries: dict[Any, Any]) -> Undo:
    """The entries of a mapping, in their order."""
    before = dict(entries)

    def undo() -> None:
        if _same(entries, before) and _same(entries.values(), before.values()):
            return
        entries.clear()
        entries.update(before)

    return undo


def collection(entries: Any) -> Undo:
    """The entries of a list, deque, set or bytearray."""
    before = list(entries)

    def undo() -> None:
        if not _same(entries, before):
            entries.clear()
            (entries.update if isinstance(entries, set) else entries.extend)(before)

    return undo


def _slots(value: Any) -> dict[str, MemberDescriptorType]:
    classes = [kind for kind in type(value).__mro__ if "__slots__" in vars(kind)]
    return {k: slot for kind in classes for k, slot in vars(kind).items() if isinstance(slot, MemberDescriptorType)}


def _slot(value: Any, slot: MemberDescriptorType) -> Undo:
    missing = object()

    def present() -> Any:
        try:
            return slot.__get__(value)
        except AttributeError:
            return missing

    before = present()

    def undo() -> None:
        if present() is before:
            return
        if before is missing:
            slot.__delete__(value)
        else:
            slot.__set__(value, before)

    return undo


def _same(present: Collection[Any], before: Collection[Any]) -> bool:
    """Whether these are the same objects in the same order."""
    return len(present) == len(before) and all(a is b for a, b in zip(present, before, strict=True))
