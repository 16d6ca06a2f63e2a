"""How mkdocstrings reads the docstrings of this project; see `mkdocs.yml`."""

import re
from typing import Any

import griffe


class OneExample(griffe.Extension):
    """Reads a section "Example:" as griffe reads "Examples:", so that its doctest is shown as code."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rename the section."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r"^(\s*)Example:$", r"\1Examples:", obj.docstring.value, flags=re.MULTILINE)
