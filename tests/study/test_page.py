"""The page of a comparison: the file, and how a real browser without a network shows it."""

import re
from collections import Counter
from dataclasses import replace
from html import escape
from html.parser import HTMLParser

import pytest
from selenium.webdriver.common.by import By

import comparisons
from chromium import started
from comparisons import KINDS, NASTY, broken, training, usual
from facts import tells
from learnrate.errors import ArgumentError, OutputError
from learnrate.study import Comparison, Outcome
from learnrate.study.report.summary import answer


class Reader(HTMLParser):
    """Tags, what would be loaded, ids, and the cells of tables by the id of the table; without a browser."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.loads, self.ids, self.rows, self.texts, self._table = Counter(), [], [], {}, [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags[tag] += 1
        self.loads += [attrs[name] for name in ("src", "href", "xlink:href", "data") if name in attrs]
        self.ids += [attrs["id"]] if "id" in attrs else []
        if tag == "table":
            self._table = attrs["id"]
        if tag == "tr":
            self.rows.setdefault(self._table, []).append([])
        if tag in ("td", "th"):
            self.rows[self._table][-1].append("")

    def handle_endtag(self, tag):
        self._table = None if tag == "table" else self._table

    def handle_data(self, data):
        data = data.replace("\u00a0", " ")
        self.texts.append(data)
        if self._table and self.rows.get(self._table, [[]])[-1]:
            self.rows[self._table][-1][-1] += data


def read(comparison, folder, target=None):
    comparison.to_html(folder / "page.html", target)
    text = (folder / "page.html").read_text(encoding="utf-8")
    return Reader(text), text


def test_the_page_has_the_answer_the_ranking_and_how_it_was_made(tmp_path):
    comparison = usual()
    page, text = read(comparison, tmp_path, target=0.9)
    assert any(tells(passage, "one cycle is better than each of the 2 others") for passage in page.texts)
    header, *rows = page.rows["ranking"]
    assert [row[0] for row in rows] == ["one cycle", "cosine", "wsd"]
    by_heading = [dict(zip(header, row, strict=True)) for row in rows]
    for row, arm in zip(by_heading, comparison.ranking(), strict=True):
        assert float(row["held-out accuracy"]) == pytest.approx(arm.mean, abs=5e-5)
        assert float(row["spread"].lstrip("± ")) == pytest.approx(arm.std, abs=5e-5)
    difference = comparison.differences()[0]
    assert float(by_heading[1]["difference"]) == pytest.approx(-difference.mean, abs=5e-5)
    low, high = map(float, by_heading[1]["95 % interval"].split(" to "))
    assert (low, high) == pytest.approx((-difference.interval[1], -difference.interval[0]), abs=5e-5)
    assert by_heading[0]["updates to 0.9"].endswith("(4 of 4)")
    assert {"curves", "differences", "seeds", "times", "schedules"} <= set(page.ids)
    for fact in ("0123456789abcdef", "Python 3.11.2", "CPU <1>", "seeds: 0, 1, 2, 3", *map(str, comparison.differences())):
        assert any(fact in passage for passage in page.texts), fact
    without, _ = read(comparison, tmp_path)
    assert "times" not in without.ids
    assert len(text) < 200_000


@pytest.mark.parametrize("kind", KINDS)
def test_every_comparison_has_a_page_that_loads_and_runs_nothing(kind, tmp_path):
    page, text = read(KINDS[kind], tmp_path, None if kind in ("losses", "nothing yet", "all diverged") else 0.85)
    assert page.tags["script"] == 0
    assert all(address == "data:," or address.startswith("#") for address in page.loads)
    assert not re.search(r"@import|url\((?!#)", text)
    assert [identifier for identifier, count in Counter(page.ids).items() if count > 1] == []
    assert "default-src 'none'" in text
    assert len(page.rows.get("arms", [])) == 1 + len(KINDS[kind])


@pytest.mark.parametrize("kind", ["broken", "nothing yet"])
def test_a_notebook_shows_the_answer_and_the_figure(kind):
    shown = KINDS[kind]._repr_html_()
    assert "<svg" in shown
    assert escape(NASTY) in shown or kind != "broken"
    assert len(KINDS[kind].plot(*([0.85] if kind == "broken" else []))) == (3 if kind == "broken" else 1)


def test_what_names_and_errors_contain_is_shown_as_it_is(tmp_path):
    page, text = read(broken(), tmp_path, 0.85)
    assert page.tags["b"] == 0
    assert escape(NASTY) in text
    assert page.rows["ranking"][1][0] == NASTY
    diverged = page.rows["ranking"][-1]
    assert (diverged[0], diverged[1]) == ("diverges", "diverged")
    notes = "".join(page.texts)
    assert "never, seed 0 failed: x" in notes
    assert tells(notes, "arms do not have the same number of trainings", "2 sets of versions")
    assert any(tells(passage, "fails", "reached by 0 of 2") for passage in page.texts)


def test_a_target_that_is_none_is_refused_before_anything_is_written(tmp_path):
    for target in ("other", float("nan")):
        with pytest.raises(ArgumentError, match="target"):
            usual().to_html(tmp_path / "page.html", target)
    with pytest.raises(OutputError):
        usual().to_html(tmp_path / "missing" / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_a_target_that_cannot_be_timed_is_explained_on_the_page(tmp_path):
    page, _ = read(KINDS["losses"], tmp_path, 0.5)
    assert "times" not in page.ids
    assert any(tells(passage, "checkpoints", "evaluate during the training") for passage in page.texts)


@pytest.fixture(scope="module")
def browser():
    with started() as driver:
        yield driver


def test_the_widest_table_fits_a_window_of_1100_pixels(browser, tmp_path):
    names = ("warmup(max_lr=0.1, length='5%') >> cosine(start=0.1, end=0.0)", "triangular2(0.01, 0.3, 10)", "diverges")
    far = Outcome(names[2], "constant(9)", 200, tuple(replace(training(n, 0.9), score=-1.2e12 * (n + 1)) for n in range(4)))
    widest = Comparison(200, (comparisons.arm(names[0], 0.95, 4), comparisons.arm(names[1], 0.93, 4), far))
    widest.to_html(tmp_path / "page.html", 0.92)
    size = {"width": 1100, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get((tmp_path / "page.html").as_uri())
    cut = "return [...document.querySelectorAll('.wide')].map(element => element.scrollWidth - element.clientWidth)"
    assert browser.execute_script(cut) == [0, 0]


def test_the_page_fits_a_phone_and_is_dark_at_night(browser, tmp_path):
    broken().to_html(tmp_path / "page.html", 0.85)
    colours = {}
    for scheme, width in (("light", 1200), ("dark", 1200), ("light", 400)):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get((tmp_path / "page.html").as_uri())
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        picture = browser.find_element(By.CSS_SELECTOR, "#curves svg")
        assert 300 < picture.size["width"] < width
        text = browser.find_element(By.CSS_SELECTOR, "#curves svg text")
        colours[scheme] = (
            browser.find_element(By.TAG_NAME, "body").value_of_css_property("background-color"),
            text.value_of_css_property("fill"),
        )
        if width == 400:  # one picture below the other
            below = browser.find_element(By.CSS_SELECTOR, "#differences svg")
            assert below.location["y"] > picture.location["y"] + picture.size["height"]
    assert not set(colours["light"]) & set(colours["dark"])
    assert browser.get_log("browser") == []


def test_the_answer_is_one_sentence_about_what_is_sure():
    assert re.match(
        r"one cycle is better than cosine, by 0.0[12]\d+ on average \(", answer(usual(arms=("one cycle", "cosine")))
    )
    assert "than each of the 2 others; than cosine, the next one, by 0.0" in answer(usual())
    twins = (comparisons.arm("a", 0.9), comparisons.arm("b", 0.9))
    assert answer(Comparison(200, twins)).startswith("a and b have the best mean, which is the same")
    assert "score is not finite" in answer(KINDS["all diverged"])
