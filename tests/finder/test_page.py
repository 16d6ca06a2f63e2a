"""The page of a curve: the file, and how a real browser without a network shows it."""

import math
import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

import learnrate as lr
from chromium import started
from curves import LRS, POINTS, valley
from learnrate.errors import MissingExtraError, OutputError
from learnrate.finder.page import write_curve

NASTY = "<script>document.title = 'broken'</script></script> & \"quoted\" {braces} 100 %"
CURVE = lr.Curve(
    LRS, valley(noise=0.05), {"accuracy <b>": np.linspace(0, 1, POINTS), "grad norm": np.full(POINTS, 3.0)}, (NASTY, "two")
)
FLAT = lr.Curve(LRS, np.full(POINTS, 2.0))


def diverged():
    losses = valley(noise=0.05)[:92]
    losses[-3:] = 1e3, 1e6, np.inf
    return lr.Curve(LRS[:92], losses, ended="not finite")


class Reader(HTMLParser):
    """What a page would load, the attributes of its elements by id, and its texts; without a browser."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.attributes, self.texts, self.inside = [], {}, [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.loads += [value for name, value in attrs.items() if name in ("src", "href", "data", "srcset", "action")]
        self.attributes[attrs.get("id")] = attrs
        self.inside = [*self.inside, tag] if tag in ("script", "style") else self.inside

    def handle_endtag(self, tag):
        self.inside = self.inside[:-1] if tag in ("script", "style") else self.inside

    def handle_data(self, data):
        if not self.inside:
            self.texts.append(data)


def write_and_read(curve, folder):
    path = folder / "page.html"
    curve.to_html(path)
    text = path.read_text(encoding="utf-8")
    return Reader(text), text


def test_the_page_has_the_bounds_and_their_reasons(tmp_path):
    page, _ = write_and_read(CURVE, tmp_path)
    bounds = CURVE.bounds()
    for name in ("base_lr", "lr", "max_lr"):
        assert float(page.attributes[name]["data-value"]) == getattr(bounds, name)
        assert getattr(bounds.reasons, name).partition(": ")[2] in page.texts
    interval = page.attributes["interval"]
    assert (float(interval["data-low"]), float(interval["data-high"])) == bounds.interval
    assert bounds.reasons.interval in page.texts


def test_the_page_loads_nothing(tmp_path):
    page, text = write_and_read(CURVE, tmp_path)
    assert page.loads == ["data:,"]
    (style,) = re.findall("<style>(.*?)</style>", text, re.DOTALL)[:1]
    assert not re.search(r"@import|url\(", style)
    assert "mathjax" not in text.replace(" ", "").lower().split("</script>")[-1]
    assert "default-src 'none'" in text


def test_notes_and_names_of_metrics_are_escaped(tmp_path):
    page, text = write_and_read(CURVE, tmp_path)
    assert NASTY in page.texts
    assert NASTY not in text
    assert "<b>accuracy" not in text
    assert "accuracy <b>" not in text


def test_a_note_that_utf8_cannot_encode_is_written(tmp_path):
    lr.Curve(LRS, valley(), notes="\udcff and \N{GREEK SMALL LETTER ETA}").to_html(tmp_path / "page.html")
    assert "&#56575; and \N{GREEK SMALL LETTER ETA}" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_no_answer_says_why_and_what_would_help(tmp_path):
    page, _ = write_and_read(FLAT, tmp_path)
    bounds = FLAT.bounds()
    assert {bounds.reason, bounds.remedy} <= set(page.texts)
    assert "no-answer" in page.attributes
    assert "base_lr" not in page.attributes


@pytest.mark.parametrize(
    "curve",
    [
        lr.Curve([], []),
        lr.Curve([0.1], [1.0]),
        lr.Curve([0.1], [math.nan]),
        lr.Curve(LRS, np.full(POINTS, np.nan)),
        lr.Curve(LRS, valley(), {"auc": np.full(POINTS, np.nan)}),
        diverged(),
    ],
)
def test_every_curve_has_a_page(curve, tmp_path):
    page, text = write_and_read(curve, tmp_path)
    assert "LR range test" in page.texts
    assert not re.search(r"\b(NaN|Infinity)\b", text[text.rindex("Plotly.newPlot") :])


def merged():
    curve = lr.Curve.merge(lr.Curve(LRS, valley(noise=0.05, seed=seed)) for seed in range(3))
    return curve, curve.bounds()


def test_a_merged_curve_shows_its_sweeps_and_their_band(tmp_path):
    curve, bounds = merged()
    write_curve(curve, bounds, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    figure = text[text.rindex("Plotly.newPlot") :]
    assert '"3 sweeps"' in figure
    assert '"range of the sweeps"' in figure
    assert "3 sweeps" in text[: text.index("<figure")]


def test_an_existing_file_is_replaced(tmp_path):
    page = tmp_path / "page.html"
    page.write_text("old")
    FLAT.to_html(str(page))
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert page.read_text(encoding="utf-8").endswith("</html>\n")


@pytest.mark.parametrize("name", ["missing/page.html", "", "."])
def test_a_page_that_cannot_be_written_is_an_output_error(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="cannot write"):
        FLAT.to_html(name)
    assert not list(tmp_path.iterdir())


def test_without_plotly_the_error_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'learnrate\[pages\]'") as raised:
        CURVE.to_html(tmp_path / "page.html")
    assert raised.value.name == "plotly"
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def browser():
    with started() as driver:
        yield driver


@pytest.fixture
def shown(browser, tmp_path):
    """Opens the page of a curve. After the test, checks that the browser loaded nothing and reports no error."""

    def show(curve, bounds=None):
        write_curve(curve, bounds or curve.bounds(), tmp_path / "page.html")
        browser.get((tmp_path / "page.html").as_uri())
        return browser

    yield show
    assert browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)") == []
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    assert browser.title == "LR range test"


def x_range(browser):
    return browser.execute_script("return document.getElementById('picture').layout.xaxis.range")


def until(browser, condition):
    return WebDriverWait(browser, 20, poll_frequency=0.05).until(lambda _: condition())


def in_picture(browser, x, y):
    """An action that begins with the pointer at a position in the figure, as fractions of its width and height."""
    area = browser.find_element(By.CSS_SELECTOR, ".nsewdrag")
    # Offsets are from the middle.
    width, height = area.size["width"], area.size["height"]
    return ActionChains(browser).move_to_element_with_offset(area, round((x - 0.5) * width), round((y - 0.5) * height))


def hovered(browser):
    return [label.get_attribute("textContent") for label in browser.find_elements(By.CSS_SELECTOR, ".hoverlayer .nums")]


def test_the_browser_shows_the_bounds(shown):
    browser = shown(CURVE)
    bounds = CURVE.bounds()
    for name in ("base_lr", "lr", "max_lr"):
        cell = browser.find_element(By.ID, name)
        assert float(cell.get_attribute("data-value")) == getattr(bounds, name)
        assert cell.text == f"{getattr(bounds, name):.2g}"
    notes = [note.text for note in browser.find_elements(By.CSS_SELECTOR, "#notes li")]
    assert notes == list(CURVE.notes)


@pytest.mark.parametrize("curve", [CURVE, FLAT, diverged()], ids=["answer", "no answer", "diverged"])
def test_the_browser_draws_the_losses(shown, curve):
    browser = shown(curve)
    assert len(browser.find_elements(By.CSS_SELECTOR, ".scatterlayer .point")) > 80
    (line,) = browser.find_elements(By.CSS_SELECTOR, ".scatterlayer .js-line")
    assert line.get_attribute("d").startswith("M")
    labels = [text.get_attribute("textContent") for text in browser.find_elements(By.CSS_SELECTOR, ".annotation-text")]
    assert {label.split()[0] for label in labels} == ({"base_lr", "lr", "max_lr"} if curve.bounds() else set())


def test_the_browser_draws_a_merged_curve(shown):
    browser = shown(*merged())
    assert len(browser.find_elements(By.CSS_SELECTOR, ".scatterlayer .js-fill")) == 1
    names = [text.get_attribute("textContent") for text in browser.find_elements(By.CSS_SELECTOR, ".legendtext")]
    assert {"3 sweeps", "range of the sweeps", "mean loss"} <= set(names)


def test_hovering_over_a_point_shows_its_values(shown):
    browser = shown(CURVE)
    update = 40
    dot = browser.find_elements(By.CSS_SELECTOR, ".scatterlayer .point")[update]
    ActionChains(browser).move_to_element(dot).perform()
    until(browser, lambda: hovered(browser))
    (label,) = hovered(browser)
    loss, smoothed = CURVE.losses[update], CURVE.smoothed()[update]
    assert [float(number) for number in re.findall(r"[\d.e-]+\d", label)] == [
        update,
        pytest.approx(LRS[update], rel=1e-2),
        pytest.approx(loss, rel=1e-3),
        pytest.approx(smoothed, rel=1e-3),
    ]


def test_dragging_zooms_and_a_double_click_resets_the_zoom(shown):
    browser = shown(CURVE)
    initial = x_range(browser)
    assert initial == pytest.approx([-7, 1])
    in_picture(browser, 0.25, 0.25).click_and_hold().perform()
    in_picture(browser, 0.75, 0.75).release().perform()
    until(browser, lambda: x_range(browser) != initial)
    assert x_range(browser) == pytest.approx([-5, -1], abs=0.1)
    in_picture(browser, 0.5, 0.5).double_click().perform()
    until(browser, lambda: x_range(browser) == pytest.approx(initial))


def test_metrics_are_hidden_until_their_name_is_clicked(shown):
    browser = shown(CURVE)

    def second_axis():
        return browser.find_elements(By.CSS_SELECTOR, ".y2tick")

    names = {text.get_attribute("textContent"): text for text in browser.find_elements(By.CSS_SELECTOR, ".legendtext")}
    assert {"accuracy <b>", "grad norm"} <= set(names)
    assert len(browser.find_elements(By.CSS_SELECTOR, ".scatterlayer .js-line")) == 1
    assert not second_axis()
    ActionChains(browser).move_to_element(names["accuracy <b>"]).click().perform()
    until(browser, second_axis)
    assert len(browser.find_elements(By.CSS_SELECTOR, ".scatterlayer .js-line")) == 2


def test_a_metric_that_is_not_measured_at_every_update_is_a_line(shown):
    browser = shown(lr.Curve(LRS, valley(), {"accuracy": np.where(np.arange(POINTS) % 10, np.nan, 0.5)}))
    label = next(text for text in browser.find_elements(By.CSS_SELECTOR, ".legendtext") if "accuracy" in text.text)
    ActionChains(browser).move_to_element(label).click().perform()
    lines = ".scatterlayer .js-line"
    until(browser, lambda: len(browser.find_elements(By.CSS_SELECTOR, lines)) == 2)
    assert "L" in browser.find_elements(By.CSS_SELECTOR, lines)[1].get_attribute("d")


@pytest.mark.parametrize("width", [420, 1200])
@pytest.mark.parametrize(
    "curve",
    [
        CURVE,
        lr.Curve(LRS, valley(1e-6, 4e-6, noise=0.02)),
        lr.Curve(LRS, valley(0.2, 3.0, noise=0.02)),
        lr.Curve(LRS, np.linspace(2.3, 0.1, POINTS)),
        diverged(),
    ],
    ids=["middle", "left", "right", "all", "diverged"],
)
def test_the_labels_do_not_overlap_and_fit_the_window(shown, browser, curve, width):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    try:
        shown(curve)
        boxes = browser.execute_script(
            "return [...document.querySelectorAll('.annotation-text-g, .legend, .xtitle')].map(e => e.getBoundingClientRect())"
        )
        assert len(boxes) == 5
        for index, box in enumerate(boxes):
            assert box["left"] >= 0
            assert box["right"] <= width
            for other in boxes[:index]:
                beside = box["left"] >= other["right"] or other["left"] >= box["right"]
                assert beside or box["top"] >= other["bottom"] or other["top"] >= box["bottom"]
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
