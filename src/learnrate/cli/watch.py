"""`learnrate watch`: the record of a run in the browser."""

import threading
import webbrowser
from dataclasses import dataclass
from pathlib import Path

from learnrate import checks
from learnrate.control.live import Page, serve
from learnrate.errors import OutputError


@dataclass(frozen=True)
class Options:
    """The options of the command; see `learnrate watch --help`."""

    record: Path
    host: str
    port: int
    open_browser: bool


def watch_command(options: Options) -> None:
    """Serve the page until Ctrl-C."""
    path = options.record
    if not path.is_file():
        why = "it is a folder" if path.is_dir() else "there is no such file"
        raise OutputError(f"cannot read the record {checks.shown(str(path))}: {why}")
    page = Page(host=options.host, port=options.port, read_only=True)
    from learnrate.control.live.recorded import Recorded  # after the checks, because it takes time to load

    source = Recorded(path).follow()
    server = serve(source, page)
    running = source.status == "running"
    print(f"{path}: {'a run is being recorded' if running else 'the run has ended'}. Ctrl-C ends the page.", flush=True)
    if options.open_browser:
        webbrowser.open(server.link)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        print("the page is closed")
    finally:
        source.stop()
        server.stop()
