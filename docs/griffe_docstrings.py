"""How mkdocstrings reads this project; see `mkdocs.yml`."""

import re
from typing import Any

import griffe


class OneExample(griffe.Extension):
    """Reads a section "Example:" as griffe reads "Examples:", so that its doctest is shown as code."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rename the section."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r"^(\s*)Example:$", r"\1Examples:", obj.docstring.value, flags=re.MULTILINE)


class Frozen(griffe.Extension):
    """Reads `@frozen` as the dataclass that it makes and `checked(...)` as its field, so that the class has a signature."""

    def on_class_members(self, *, cls: griffe.Class, **_: Any) -> None:
        """Put what griffe knows in the place of our own names."""
        for decorator in cls.decorators:
            if str(decorator.value) == "frozen":
                decorator.value = griffe.ExprName("dataclasses.dataclass")
        for member in cls.members.values():
            if member.is_attribute and isinstance(member.value, griffe.ExprCall) and str(member.value.function) == "checked":
                named = [each for each in member.value.arguments if isinstance(each, griffe.ExprKeyword)]
                default = next((each.value for each in named if each.name == "default"), None)
                member.value = "'rest'" if str(default) == "REST" else default
