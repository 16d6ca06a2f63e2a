"""What a reader sees of a record: figure, page, notebook form."""

import json
import math
import re

import numpy as np
import pytest
from matplotlib import pyplot

import learnrate as lr
from chromium import started
from learnrate.control import Observation, Replace, Scale
from learnrate.control.record import Record, page, view
from learnrate.control.record.figure import LABELLED
from learnrate.control.running import begin
from learnrate.errors import OutputError
from recording import run, step

SCHEDULE = lr.warmup(0.1, 10) >> lr.cosine(0.1, 0.0, 490)
NASTY = "<script>alert('$x_1') & \u2603</script>"


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """500 updates with changes by hand, a loss that is not finite, and a metric."""
    path = tmp_path_factory.mktemp("records") / "run.jsonl"
    control = begin([SCHEDULE], record=path)
    for n in range(500):
        if n == 100:
            control.request(Scale(0.5), NASTY)
        if n == 300:
            control.request(Replace("constant(0.02, 200)"), "the rest at one LR")
        step(control, n, math.inf if n == 200 else None)
    control.observe(Observation(499, lr=0.02, metrics={NASTY: 0.5}))
    control.close()
    return lr.Record.load(path)


@pytest.fixture(scope="module")
def browser():
    with started() as driver:
        yield driver


def long_record(updates):
    """A record of many updates without its file."""
    n = np.arange(updates)
    losses = 1 + 0.01 * np.sin(n)
    losses[updates // 3], losses[updates // 2] = 50.0, math.nan
    lrs = np.full(updates, 0.1)
    return Record("run.sqlite", n, lrs, losses, np.full(updates, np.nan), n.astype(float), {}, ())


def test_the_figure_shows_what_was_used_and_planned_and_every_reason(record):
    top, bottom = record.plot()
    planned, used = top.lines[0], top.lines[1]
    assert used.get_ydata().tolist() == record.lrs.tolist()
    assert planned.get_xdata()[-1] == 499
    assert planned.get_ydata()[:50].tolist() == pytest.approx(SCHEDULE(np.arange(50)).tolist())
    assert {text.get_text() for text in top.texts} == {"1", "2"}
    assert {text.xy[0] for text in top.texts} == {101, 301}
    assert bottom.get_xlabel() == "update"
    words = " ".join(text.get_text() for ax in top.figure.axes for text in ax.texts)
    assert "the rest at one LR" in words
    assert "alert" in words
    top.figure.canvas.draw()
    assert [line for line in bottom.lines if 200 in line.get_xdata() and line.get_label() == "not finite"]


def test_many_events_have_numbers_where_most_changes(tmp_path):
    control = begin([SCHEDULE], record=tmp_path / "run.jsonl")
    for n in range(200):
        control.request(Scale(0.25 if n == 77 else 0.999))
        step(control, n)
    control.close()
    record = lr.Record.load(tmp_path / "run.jsonl")
    top, _ = record.plot()
    assert len(top.texts) == LABELLED
    assert 78 in [text.xy[0] for text in top.texts]
    top.figure.canvas.draw()
    assert "and 191 more events" in " ".join(text.get_text() for text in top.figure.axes[2].texts)
    repr(record)


@pytest.mark.parametrize("updates", [0, 1, 2])
def test_short_runs_are_drawn(updates, tmp_path):
    control = begin([SCHEDULE], record=tmp_path / "run.jsonl")
    run(control, range(updates))
    control.close()
    record = lr.Record.load(tmp_path / "run.jsonl")
    assert "svg" in record._repr_html_()
    assert "LR used" in json.dumps(page._figure(record), allow_nan=False)


def test_losses_that_were_not_measured_or_never_finite_are_drawn(tmp_path):
    for name, loss in (("none", None), ("nan", math.nan), ("huge", 1e300), ("negative", -2.0)):
        control = begin([SCHEDULE], record=tmp_path / f"{name}.jsonl")
        for n in range(30):
            control.observe(Observation(n, lr=SCHEDULE(n), loss=loss if loss is None else loss * (n % 3)))
        control.close()
        record = lr.Record.load(tmp_path / f"{name}.jsonl")
        record.plot()[0].figure.canvas.draw()
        json.dumps(page._figure(record), allow_nan=False)
        repr(record)


def test_extremes_of_a_long_run_stay_and_the_rest_is_thinned():
    record = long_record(1_000_000)
    _, bottom = record.plot()
    assert all(len(line.get_xdata()) < 10_000 for line in bottom.lines)
    assert 50.0 in bottom.lines[0].get_ydata()
    figure = page._figure(record)
    assert len(json.dumps(figure)) < 1_000_000
    (losses,) = [trace for trace in figure["data"] if trace["name"] == "loss"]
    assert 50.0 in losses["y"]
    (lost,) = [trace for trace in figure["data"] if trace["name"] == "not finite"]
    assert lost["x"] == [500_000]


def test_medians_are_not_moved_by_single_values():
    updates = np.arange(10_000)
    losses = np.ones(10_000)
    losses[::100] = 1e30
    losses[7] = math.nan
    assert set(view.medians(updates, losses)[1].tolist()) == {1.0}


def test_the_page_escapes_what_the_user_wrote_and_loads_nothing(record, tmp_path):
    record.to_html(tmp_path / "run.html")
    text = (tmp_path / "run.html").read_text()
    own = re.sub(r"<script.*?</script>", "", text.split("<body>")[1], flags=re.DOTALL)
    assert "alert(" in own
    assert "<script>alert" not in own
    assert "default-src 'none'" in text
    assert 'src="http' not in text
    with pytest.raises(OutputError, match="no"):
        record.to_html(tmp_path / "no" / "run.html")


def test_a_notebook_shows_events_and_figure_and_leaves_no_figure_open(record):
    before = pyplot.get_fignums()
    text = record._repr_html_()
    assert "<svg" in text
    assert "the rest at one LR" in text
    assert "<script>" not in text
    assert pyplot.get_fignums() == before


def test_the_page_in_a_browser(record, tmp_path, browser):
    record.to_html(tmp_path / "run.html")
    browser.get((tmp_path / "run.html").as_uri())
    rows = browser.execute_script(
        "return [...document.querySelectorAll('#events tbody th')].map((cell) => cell.textContent)"
    )
    assert rows == ["101", "301"]
    names = browser.execute_script("return document.getElementById('picture').data.map((trace) => trace.name)")
    assert {"LR used", "LR planned", "loss", "by hand", "not finite"} <= set(names)
    shown = browser.execute_script(
        "const picture = document.getElementById('picture');"
        "return picture.data.find((trace) => trace.name === 'by hand').text"
    )
    assert "the rest at one LR" in shown[1].replace("<br>", " ")
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    )
    try:
        browser.get((tmp_path / "run.html").as_uri())
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
