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
                named = [argument for argument in member.value.arguments if isinstance(argument, griffe.ExprKeyword)]
                member.value = next((argument.value for argument in named if argument.name == "default"), None)


class Constants(griffe.Extension):
    """Shows the value of a constant that is a default, `low: float = 1e-06`, and not its name."""

    def on_package(self, *, pkg: griffe.Module, loader: griffe.GriffeLoader, **_: Any) -> None:
        """Replace the defaults of all functions and fields."""
        self._replace(pkg, loader.modules_collection)

    def _replace(self, owner: griffe.Object, modules: griffe.ModulesCollection) -> None:
        for member in owner.members.values():
            if member.is_alias:
                continue
            if member.is_function:
                for parameter in member.parameters:
                    parameter.default = self._value(parameter.default, modules)
            elif member.is_attribute and owner.is_class:
                member.value = self._value(member.value, modules)
            else:
                self._replace(member, modules)

    @staticmethod
    def _value(default: Any, modules: griffe.ModulesCollection) -> Any:
        if not isinstance(default, griffe.ExprName) or not default.name.isupper():
            return default
        try:
            value = modules[default.canonical_path].value
        except (KeyError, griffe.AliasResolutionError):  # of another package
            return default
        return value if isinstance(value, str) else default
