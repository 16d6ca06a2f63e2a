"""The files of the page: they are data of the package, and are read once."""

import re
from functools import cache
from importlib.resources import files

SCRIPTS = ("format.js", "decode.js", "chart.js", "panes.js", "controls.js", "view.js")
"""The scripts that know nothing of how the page reaches the run, each after those that it imports."""

TYPES = {
    "index.html": "text/html; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    **dict.fromkeys((*SCRIPTS, "http.js", "main.js"), "text/javascript; charset=utf-8"),
}
"""The files and their types. Nothing else is ever read, whatever a request asks for."""


@cache
def asset(name: str) -> bytes:
    """A file of the page; KeyError if there is none of this name."""
    TYPES[name]
    return (files("learnrate.control.live") / "assets" / name).read_bytes()


def layout() -> str:
    """The elements of the page, for a notebook."""
    body = re.search(r"<body[^>]*>(.*?)<script", asset("index.html").decode(), re.DOTALL)
    return body[1] if body else ""


def module(*more: str) -> str:
    """The scripts as one module, which a notebook takes."""
    text = "\n".join(asset(name).decode() for name in SCRIPTS)
    text = re.sub(r"^import .*? from \"\./\w+\.js\";\n", "", text, flags=re.MULTILINE | re.DOTALL)
    return "\n".join([re.sub(r"^export (?=(?:async )?(?:function|const|class|let))", "", text, flags=re.MULTILINE), *more])
