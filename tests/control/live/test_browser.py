"""The page in a browser: watch a run, change it, lose it and find it again."""

import json
import socket
import threading
import time
from contextlib import suppress

import numpy as np
import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from learnrate import cosine, parse
from learnrate.control import Event, Page, Scale, composed
from learnrate.control.live.server import Server
from learnrate.control.running import begin
from live_run import SCHEDULE, running, until
from live_tab import Tab, errors_of, number_in, opened

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]


def test_watch(browser):
    browser.get_log("browser")
    with opened(browser) as (run, tab):
        token = run.page.server.app.access.change
        assert token not in browser.current_url
        assert token not in browser.execute_script("return document.cookie + JSON.stringify(localStorage)")
        before = tab.count()
        until(lambda: tab.count() > before)
        assert tab.status() == "running"
        names = "return [...view.panes.panes.keys()]"
        until(lambda: tab.js(names) == ["lr", "loss", "gradient_norm", "metric accuracy"])
        shown = tab.js(
            "const b = view.panes.series.blocks.get('rows'); return [[...b.first], [...b['lr.last']], [...b['loss.high']]]"
        )
        firsts, lrs = shown[:2]  # a row may be of several updates; it has the LR of the last one
        for following, value in zip(firsts[1:], lrs, strict=False):
            assert value == pytest.approx(run.used[int(following) - 1], rel=1e-6)
        # Every canvas has something on it.
        drawn = tab.js(
            "return [...document.querySelectorAll('.canvases canvas:first-child')].map((c) =>"
            " c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v) => v > 0))"
        )
        assert len(drawn) >= 3
        assert all(drawn)
        requests = tab.js("return performance.getEntriesByType('resource').map((entry) => entry.name)")
        assert requests
        assert all(request.startswith(run.page.server.address) for request in requests)
        assert errors_of(browser) == []


def test_steered_by_hand_and_run_again_from_its_record(browser):
    with opened(browser) as (run, tab):
        tab.browser.find_element(By.CSS_SELECTOR, '[data-factor="0.5"]').click()
        update = number_in(tab.message("Applied"))
        assert run.control.events[0].update == update
        until(lambda: len(run.used) > update)
        assert run.used[update] == SCHEDULE(update) * 0.5
        assert run.used[update - 1] == SCHEDULE(update - 1)

        tab.write("why", "it falls slowly")
        tab.write("factor", "1.5")
        tab.message("Preview")
        tab.part("factor").send_keys(Keys.ENTER)
        until(lambda: len(run.control.events) == 2)
        assert (run.control.events[1].factor, run.control.events[1].reason) == (0.75, "it falls slowly")

        tab.write("schedule", "warmup(0.1, 50) >> cosin(0.2, 0, 900)")
        until(lambda: tab.part("fault").is_displayed())
        assert "Column 20" in tab.text("fault")
        assert tab.part("fault").find_element(By.TAG_NAME, "mark").text == "c"
        assert not tab.part("apply").is_enabled()
        assert tab.js("return view.panes.preview") is None

        tab.write("schedule", 'cosine(0.03, 0, "rest")')
        until(lambda: tab.part("apply").is_enabled())
        assert not tab.part("fault").is_displayed()
        preview = tab.js("return view.panes.preview.lr")
        assert max(preview) > 0.02
        assert len(run.control.events) == 2
        tab.part("apply").click()
        until(lambda: len(run.control.events) == 3)
        assert tab.js("return view.panes.preview") is None

        until(lambda: tab.part("undo").is_enabled())
        tab.part("undo").click()
        until(lambda: len(run.control.events) == 4)
        tab.write("length", "400")
        tab.part("cooldown-form").find_element(By.TAG_NAME, "button").click()
        until(lambda: len(run.control.events) == 5)
        assert [event.kind for event in run.control.events] == ["scale", "scale", "replace", "undo", "cooldown"]
        until(lambda: tab.js("return view.events.length") == 5)
        assert "400 updates" in tab.text("events")

        tab.part("stop").click()
        until(lambda: tab.part("confirm").is_displayed())
        tab.part("confirm").find_element(By.CSS_SELECTOR, '[value="cancel"]').click()
        assert run.control.stopped is None
        tab.part("stop").click()
        tab.part("stop-really").click()
        until(lambda: run.control.stopped)
        assert "Stop accepted" in tab.message("Stop")
        until(lambda: not tab.part("stop").is_enabled())
        assert "stopped" in tab.text("panel-note")
        assert "Stopping" in tab.text("status")
        assert not tab.browser.find_element(By.CSS_SELECTOR, "[data-factor]").is_enabled()
        run.end()
        record = json.loads(
            json.dumps({"original": repr(SCHEDULE), "events": [event.to_json() for event in run.control.events]})
        )
        (again,) = composed([parse(record["original"])], map(Event.from_json, record["events"]))
        assert [again(n) for n in range(len(run.used))] == run.used
        run.control.close()
        until(lambda: tab.status() == "finished")
        assert not tab.part("undo").is_enabled()
        assert "early" in tab.text("status")
        last = len(run.used) - 1
        assert (tab.text("left-title"), number_in(tab.text("left"))) == ("Ended at update", last)
        # Neither the cooldown nor Stop has a factor of its own.
        assert number_in(tab.text("lr-note").split("since")[1]) == run.control.events[3].update
        assert tab.js("return view.panes.to") <= last
        assert "ahead" not in tab.js("return view.panes.panes.get('lr').chart.layers.map((layer) => layer.label)")
        assert number_in(tab.text("left-note")) == run.control.events[-2].update + 400  # where the cooldown would have ended


def test_two_tabs_see_the_same(browser):
    with opened(browser) as (run, first):
        second = Tab(browser, run.page.link, new=True).ready()
        until(lambda: "2 watching" in second.text("watchers"))
        second.browser.find_element(By.CSS_SELECTOR, '[data-factor="0.9"]').click()
        second.message("Applied")
        browser.close()
        first.here()
        until(lambda: first.js("return view.events.map((event) => event.factor)") == [0.9])
        assert first.part("undo").is_enabled()


def test_the_server_is_gone_and_comes_back(browser):
    with opened(browser) as (run, tab):
        server = run.page.server
        server.stop()
        until(lambda: tab.status() == "lost")
        assert not tab.part("undo").is_enabled()
        shown = tab.count()
        run.control.request(Scale(0.5))
        until(lambda: len(run.used) > shown + 50)
        run.page.server = Server(run.page, Page(port=server.port), server.app.access).start()
        until(lambda: tab.status() == "running")
        until(lambda: tab.count() > shown + 50 and tab.js("return view.events.length") == 1)
        until(lambda: tab.js("return view.panes.series.last") > shown + 50)


class Proxy:
    """Passes connections on to a port, until it is cut."""

    def __init__(self, port):
        self._target, self._sockets, self._lock = port, [], threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.whole = True
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with suppress(OSError):
            while True:
                inner, _ = self._listening.accept()
                if not self.whole:
                    inner.close()
                    continue
                outer = socket.create_connection(("127.0.0.1", self._target))
                with self._lock:
                    self._sockets += [inner, outer]
                for pair in ((inner, outer), (outer, inner)):
                    threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source, target):
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def cut(self):
        self.whole = False
        with self._lock:
            for connection in self._sockets:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()
            self._sockets = []

    def close(self):
        self.cut()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


def test_a_connection_that_is_cut_is_made_again(browser):
    with running() as run:
        run.steps(100).start()
        proxy = Proxy(run.page.server.port)
        try:
            tab = Tab(browser, run.page.link.replace(f":{run.page.server.port}/", f":{proxy.port}/")).ready()
            proxy.cut()
            until(lambda: tab.status() == "lost")
            shown = tab.count()
            proxy.whole = True
            until(lambda: tab.status() == "running" and tab.count() > shown)
        finally:
            browser.get("about:blank")
            proxy.close()
    browser.get_log("browser")


def test_a_million_updates(browser):
    count = 1_000_000
    control = begin([cosine(0.1, 0.0, 1_200_000)], page=True)
    page = control.listeners[0]
    try:
        updates = np.arange(count)
        loss = 0.3 + 3 * np.exp(-updates / 2e5) + np.random.default_rng(0).normal(0, 0.1, count)
        loss[654_321] = 90.0
        start = time.perf_counter()
        page.history.add_table(updates, np.stack([0.1 * np.cos(updates / 1.2e6), loss, np.ones(count)]))
        assert time.perf_counter() - start < 3
        start = time.perf_counter()
        tab = Tab(browser, page.link).ready()
        assert time.perf_counter() - start < 8  # on a machine that does other things; 0.7 s alone
        rows = "const rows = view.panes.series.blocks.get('rows');"
        assert tab.js(f"{rows} return rows.points") <= 2000
        assert tab.js(f"{rows} return Math.max(...rows['loss.high'])") == 90
        start = time.perf_counter()
        tab.js("view.panes.setWindow(654000, 655000)")
        until(
            lambda: tab.js(
                f"{rows} return rows.last[0] - rows.first[0] < 16 && rows.points < 1100 && Math.max(...rows['loss.high']) === 90"
            )
        )
        assert time.perf_counter() - start < 4
        painted = tab.js(
            "const t = performance.now(); for (let k = 0; k < 20; k += 1) view.panes.paint(); return (performance.now() - t) / 20"
        )
        assert painted < 100  # milliseconds, without a graphics processor; 60 pictures a second need 16
    finally:
        browser.get("about:blank")
        page.stop()


def test_moving_about(browser):
    with opened(browser) as (_, tab):
        body = browser.find_element(By.TAG_NAME, "body")
        window = "return [view.panes.from, view.panes.to, view.panes.mode]"
        tab.js("view.panes.setMode('all')")
        assert tab.js(window) == [0, 20_000, "all"]
        body.send_keys("+")
        start, end, mode = tab.js(window)
        assert (end - start, mode) == (pytest.approx(14_000), None)
        body.send_keys("]")
        assert tab.js(window)[0] > start
        body.send_keys("a")
        canvas = browser.find_element(By.CSS_SELECTOR, ".canvases")
        ActionChains(browser).move_to_element_with_offset(canvas, -100, 0).click_and_hold().move_by_offset(
            100, 0
        ).release().perform()
        start, end, mode = tab.js(window)
        assert 0 < start < end < 20_000
        assert mode is None
        ActionChains(browser).move_to_element(canvas).scroll_from_origin(
            ScrollOrigin.from_element(canvas), 0, -100
        ).perform()
        until(lambda: tab.js(window)[1] - tab.js(window)[0] < end - start)
        ActionChains(browser).double_click(canvas).perform()
        assert tab.js(window)[2] == "follow"
        ActionChains(browser).move_to_element_with_offset(canvas, -150, 0).perform()
        until(lambda: tab.js("return view.panes.cross") is not None)
        legend = browser.find_element(By.CSS_SELECTOR, ".legend b")
        # The legend is drawn with the next frame.
        until(lambda: float(legend.text) == pytest.approx(SCHEDULE(tab.js("return view.panes.cross")), rel=1e-3))
        body.send_keys("l")
        assert tab.js("return view.panes.panes.get('loss').chart.log") is True
        body.send_keys("?")
        assert tab.part("help").is_displayed()
        tab.part("help").find_element(By.TAG_NAME, "button").click()
        before = tab.js("return getComputedStyle(document.body).backgroundColor")
        body.send_keys("t")
        assert tab.js("return getComputedStyle(document.body).backgroundColor") != before
        body.send_keys("t")
        assert errors_of(browser) == []


def test_the_lr_under_the_pointer_is_one_that_was_used(browser):
    with running() as run:
        run.steps(1501).control.request(Scale(0.1))
        run.steps(4500)
        tab = Tab(browser, run.page.link).ready()
        until(lambda: tab.js("return view.panes.panes.get('lr').chart.layers.some((layer) => layer.dot)"))
        # Several updates share a pixel, and at the change their mean is none of their LRs.
        shown = tab.js(
            "const panes = view.panes, rows = panes.series.blocks.get('rows');"
            "const at = rows.first.findIndex((first, k) => first < 1502 && rows.last[k] >= 1502);"
            "panes.cross = Math.round((rows.first[at] + rows.last[at]) / 2); panes.point();"
            "return [rows.first[at], rows.last[at], view.root.querySelector('.legend b').textContent,"
            " panes.dot(panes.panes.get('lr').chart.layers.find((layer) => layer.dot))]"
        )
        first, last, text, dot = shown
        assert last > first
        used = run.used[int(first) : int(last) + 1]
        assert min(abs(float(text) / lr - 1) for lr in used) < 1e-3
        assert min(abs(dot / lr - 1) for lr in used) < 1e-3


def test_a_phone_shows_everything_within_its_width(browser):
    with opened(browser) as (_, tab):
        try:
            browser.execute_cdp_cmd(
                "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
            )
            until(lambda: tab.js("return document.documentElement.scrollWidth") <= 390)
            assert tab.js("return view.panes.pixels") < 390
        finally:
            browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_every_control_has_a_name(browser):
    with opened(browser):
        tree = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        roles = ("button", "textbox", "combobox", "radio", "slider", "progressbar", "group", "radiogroup", "img")
        controls = [node for node in tree if not node["ignored"] and node["role"]["value"] in roles]
        assert len(controls) > 20
        assert [
            node["role"]["value"] for node in controls if not node["name"]["value"] and node["role"]["value"] != "group"
        ] == []


def test_reading_only_and_without_the_link(browser):
    with running() as run:
        run.steps(100).start()
        tab = Tab(browser, run.page.read_only_link).ready()
        assert not tab.part("undo").is_enabled()
        assert not browser.find_element(By.CSS_SELECTOR, "[data-factor]").is_enabled()
        assert "reading only" in tab.text("panel-note")
        browser.delete_all_cookies()
        tab = Tab(browser, run.page.server.address)
        until(lambda: "needs its link" in tab.text("status"))
        tab = Tab(browser, f"{run.page.server.address}#wrong")
        until(lambda: tab.status() == "lost")
        assert tab.count() == -1
        browser.get("about:blank")
    browser.get_log("browser")
