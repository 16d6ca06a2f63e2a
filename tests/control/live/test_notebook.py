"""The page as a widget: the scripts of the widget in a browser, its Python side here, and a channel between them."""

import base64
import time

import pytest

from learnrate import errors
from learnrate.control import Scale, widget
from learnrate.control.live.sources import Running
from learnrate.control.running import begin
from live_run import SCHEDULE, Run, running, until

PAGE = """
const [text, css, state, elements, done] = arguments;
document.body.innerHTML = "<style></style><div></div>";
document.querySelector("style").textContent = css;
window.model = {
  values: { state, elements }, listeners: {}, sent: [],
  get(name) { return this.values[name]; },
  on(name, act) { this.listeners[name] = act; },
  off(name) { delete this.listeners[name]; },
  send(message) { this.sent.push(message); },
};
window.onerror = (message) => { window.failure = message; };
import(URL.createObjectURL(new Blob([text], { type: "text/javascript" }))).then((module) => {
  window.leave = module.default.render({ model: window.model, el: document.querySelector("div") });
  done("rendered");
}, (error) => done(String(error)));
"""

ANSWER = """
const [content, data] = arguments;
const buffers = data.map((text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer));
window.model.listeners["msg:custom"]?.(content, buffers);
"""


class Kernel:
    """Carries messages between the two sides of a widget, as the kernel of a notebook does."""

    def __init__(self, browser, shown):
        self.browser, self.shown, self.answers = browser, shown, []
        shown.send = lambda content, buffers=None: self.answers.append((content, buffers or []))

    def carry(self):
        for message in self.browser.execute_script("return window.model.sent.splice(0)"):
            self.shown._receive(self.shown, message, [])
        while self.answers:
            content, buffers = self.answers.pop(0)
            self.browser.execute_script(ANSWER, content, [base64.b64encode(buffer).decode() for buffer in buffers])
        self.browser.execute_script(
            "window.model.values.state = arguments[0]; window.model.listeners['change:state']?.()", self.shown.state
        )
        time.sleep(0.02)

    def until(self, condition):
        return until(lambda: (self.carry(), condition())[1])

    def part(self, name):
        return self.browser.find_element("css selector", f'[data-part="{name}"]')


@pytest.mark.slow
def test_the_widget_shows_a_run_and_changes_it(browser):
    with running(page=False) as run:
        run.steps(200)
        shown = widget(run.control)
        run.steps(200)
        run.start()
        browser.get("data:text/html,<!doctype html><html><body></body></html>")
        browser.set_script_timeout(20)
        answer = browser.execute_async_script(PAGE, shown._esm, shown._css, shown.state, shown.elements)
        assert answer == "rendered"
        kernel = Kernel(browser, shown)
        kernel.until(lambda: "learnrate" not in kernel.part("title").text and kernel.part("update").text[0].isdecimal())
        kernel.until(lambda: browser.execute_script("return document.querySelectorAll('canvas').length") >= 6)
        browser.find_element("css selector", '[data-factor="0.5"]').click()
        kernel.until(lambda: "Applied" in kernel.part("message").text)
        event = run.control.events[0]
        kernel.until(lambda: f"update {event.update:,}" in kernel.part("events").text)
        assert run.used[event.update] == SCHEDULE(event.update) * 0.5
        field = kernel.part("schedule")
        field.send_keys("cosin(0.1, 0, 10)")
        kernel.until(lambda: "Column 1" in kernel.part("fault").text)
        assert browser.execute_script("return window.failure ?? null") is None
        browser.execute_script("window.leave()")


def test_a_control_has_one_page_for_all_its_widgets():
    run = Run(page=False).steps(3)
    first, second = widget(run.control), widget(run.control)
    assert first._run is second._run
    assert [type(listener) for listener in run.control.listeners] == [Running]
    run.control.close()
    until(lambda: first.state["status"] == second.state["status"] == "finished")


def test_questions_that_are_none_are_answered_with_an_error():
    shown = widget(begin([SCHEDULE]))
    answers = []
    shown.send = lambda content, buffers=None: answers.append(content)
    questions = [
        {"number": 1, "kind": "open", "path": "/etc/passwd"},
        {"number": 2, "kind": "series"},
        {"number": 3, "kind": "series", "from": "x", "to": None, "points": []},
        {"number": 4, "kind": "change", "change": {"kind": "scale", "factor": -1}},
        {"number": 5, "kind": "preview", "change": {"kind": "scale", "factor": 2}},
        "nothing",
    ]
    for question in questions:
        shown._receive(shown, question, [])
    assert [answer["number"] for answer in answers] == [1, 2, 3, 4, 5, None]
    assert all(answer["content"]["error"] for answer in answers)


def test_what_is_no_run_has_no_widget():
    with pytest.raises(errors.ArgumentTypeError, match="control of a run"):
        widget(Scale(0.5))
