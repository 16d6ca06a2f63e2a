"""The page as a widget of a notebook: the same scripts, which reach the run through the kernel instead of over HTTP."""

import threading
import weakref
from concurrent.futures import Future
from typing import Any

import anywidget
import traitlets

from learnrate.control.events import Event
from learnrate.control.live import assets, changes, wire
from learnrate.control.live.sources import Running, state_of
from learnrate.errors import ArgumentError, LearnrateError

INTERVAL = 0.5
"""Seconds between two messages."""

_RENDER = """
function kernel(model) {
  const waiting = new Map();
  let number = 0;
  model.on("msg:custom", (answer, buffers) => {
    const resolve = waiting.get(answer.number);
    waiting.delete(answer.number);
    if (!resolve) return;
    const view = buffers?.[0];
    resolve(view ? view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength) : answer.content);
  });
  const ask = (kind, content) => new Promise((resolve) => {
    number += 1;
    waiting.set(number, resolve);
    model.send({ number, kind, ...content });
  });
  return {
    canShare: false,
    series: (from, to, points) => ask("series", { from, to, points }),
    plan: (from, to, points) => ask("plan", { from, to, points }),
    events: (after) => ask("events", { after }),
    preview: (change, from, to) => ask("preview", { change, from, to }),
    change: (change, why) => ask("change", { change, why }),
    subscribe(receive) {
      const tell = () => model.get("state").status && receive(model.get("state"));
      model.on("change:state", tell);
      tell();
      return () => model.off("change:state", tell);
    },
  };
}

export default {
  render({ model, el }) {
    el.classList.add("learnrate-live");
    el.innerHTML = model.get("elements");
    const view = mount(el, kernel(model), { pageWide: false });
    return () => view.stop();
  },
};
"""


class LiveWidget(anywidget.AnyWidget):
    """A run in a notebook.

    Args:
        run: The run.

    Attributes:
        state: The last message.
        elements: The elements of the page.
    """

    _esm = assets.module(_RENDER)
    _css = assets.asset("style.css").decode()
    state = traitlets.Dict().tag(sync=True)
    elements = traitlets.Unicode(assets.layout()).tag(sync=True)

    def __init__(self, run: Running) -> None:
        super().__init__()
        self._run = run
        self.state = state_of(run)
        self.on_msg(self._receive)
        # The thread must not keep a widget alive that nobody shows any more.
        threading.Thread(target=_tell, args=(weakref.ref(self),), name="learnrate widget", daemon=True).start()

    def _receive(self, _: object, message: Any, buffers: object) -> None:
        number = message.get("number") if isinstance(message, dict) else None
        try:
            self._answer(number, message)
        except LearnrateError as error:
            self.send({"number": number, "content": changes.described(error)})
        except (KeyError, TypeError, ValueError, OverflowError) as error:  # a number is missing, or is none
            self.send({"number": number, "content": {"error": f"not a question of the page: {error!r}"}})

    def _answer(self, number: object, message: Any) -> None:
        kind = message.get("kind") if isinstance(message, dict) else None
        if kind in ("series", "plan"):
            start, end, points = (float(message[name]) for name in ("from", "to", "points"))
            points = int(max(10, min(wire.MOST_POINTS, points)))
            packed = (
                wire.series(self._run.history, start, end, points)
                if kind == "series"
                else wire.plan(self._run, start, end, points)
            )
            self.send({"number": number}, buffers=[packed])
        elif kind == "events":
            original, present = self._run.schedules()
            content = {
                "events": self._run.history.events_after(int(message["after"])),
                "count": self._run.history.event_count,
                "original": [repr(schedule) for schedule in original],
                "present": [repr(schedule) for schedule in present],
            }
            self.send({"number": number, "content": content})
        elif kind == "preview":
            change, _ = changes.read(message)
            content = changes.preview(self._run, change, int(message["from"]), int(message["to"]))
            self.send({"number": number, "content": content})
        elif kind == "change":
            change, why = changes.read(message)
            changes.preview(self._run, change, 0, 1)
            self._run.request(change, why).add_done_callback(lambda future: self._confirm(number, future))
        else:
            raise ArgumentError(f"the kind of a question must be one of the page's own, received {kind!r}")

    def _confirm(self, number: object, future: "Future[Event]") -> None:
        error = future.exception()
        content = changes.confirmation(future.result()) if error is None else {"error": str(error)}
        self.send({"number": number, "content": content})


def _tell(widget: "weakref.ref[LiveWidget]") -> None:
    """Keep the state of a widget up to date while it is there and the run goes on."""
    pause = threading.Event()
    while (shown := widget()) is not None and shown.comm is not None:
        state = state_of(shown._run)
        if state != shown.state:
            shown.state = state
        if state["status"] == "finished":
            return
        del shown
        pause.wait(INTERVAL)
