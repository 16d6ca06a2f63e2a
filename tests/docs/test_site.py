"""The site as `make docs-site` builds it: its links, its requests, and how a real browser shows it."""

import functools
import http.server
import json
import re
import shutil
import subprocess
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from chromium import started

ROOT = Path(__file__).parents[2]

# One process: the site is built once.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]

PAGES = (
    "index.html",
    "five-minutes.html",
    "frameworks.html",
    "gallery.html",
    "choice.html",
    "api/index.html",
    "api/torch.html",
)
PHONE, DESKTOP = 390, 1440


def zensical(folder):
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "mkdocs.yml", folder)
    (folder / "src").symlink_to(ROOT / "src")
    built = zensical(folder)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "site"


class Page(HTMLParser):
    """The anchors and the links of a page."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links, self.loaded = set(), [], []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.anchors |= {attributes[name] for name in ("id", "name") if attributes.get(name)}
        address = attributes.get("href") or attributes.get("src")
        if address and tag in ("a", "area"):
            self.links.append(address)
        elif address and attributes.get("rel") not in ("prev", "next", "canonical"):
            self.loaded.append(address)


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path) for path in site.rglob("*.html")}


def test_the_navigation_has_every_page_once():
    def files(entry):
        children = entry.values() if isinstance(entry, dict) else entry
        return [entry] if isinstance(entry, str) else [name for child in children for name in files(child)]

    named = files(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    docs = ROOT / "docs"
    assert sorted(named) == sorted(str(path.relative_to(docs)) for path in docs.rglob("*.md"))


def test_no_link_within_the_site_is_dead(site, pages):
    dead = []
    for path, page in pages.items():
        for address in {*page.links, *page.loaded}:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc or path.name == "404.html":  # the addresses of 404.html begin at the root
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file() or (parts.fragment and target in pages and parts.fragment not in pages[target].anchors):
                dead.append(f"{path.relative_to(site)}: {address}")
    assert dead == []
    assert sum(len(page.links) for page in pages.values()) > 1000


def test_nothing_is_loaded_from_another_host(site, pages):
    assert [address for page in pages.values() for address in page.loaded if urlsplit(address).netloc] == []
    for path in site.rglob("*.css"):
        imported = re.findall(r"(?:url\(|@import )[\"']?(https?:)?//[^)\"']+", path.read_text())
        assert imported == [], path


def test_a_link_to_nothing_ends_the_build_with_the_name_of_its_page_and_line(tmp_path):
    """With the settings of the site, on two of its pages: the others need as long as the whole site."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Index\n")
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text()) | {"nav": ["index.md", "choosing.md"], "extra_css": []}
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(settings))
    (tmp_path / "src").symlink_to(ROOT / "src")
    (tmp_path / "docs" / "choosing.md").write_text("# Choosing\n\n[something](index.md)\n")
    assert zensical(tmp_path).returncode == 0
    (tmp_path / "docs" / "choosing.md").write_text("# Choosing\n\n[nothing](nowhere.md)\n")
    built = zensical(tmp_path)
    assert built.returncode != 0
    said = re.sub(r"\x1b\[[\d;]*m", "", built.stdout + built.stderr)
    assert "nowhere.md" in said
    assert re.search(r"choosing\.md:3\b", said), said


def test_pages_of_the_api_show_docstrings_with_their_examples_as_code(site):
    page = (site / "api" / "torch.html").read_text()
    assert 'id="learnrate.torch.driving.attachment.attach"' in page
    assert "Exactly the real updates are counted" in page
    text = re.sub(r"<[^>]+>", "", page)
    assert "&gt;&gt;&gt; attachment = lr.torch.attach(optimizer, lr.linear(1.0, 0.0, length=4))" in text
    assert "<blockquote>" not in page  # what Markdown makes of >>> outside of code


def test_a_frozen_class_has_its_signature_and_the_hooks_of_a_trainer_are_left_out(site):
    text = re.sub(r"<[^>]+>", "", (site / "api" / "keras.html").read_text())
    signature = text[text.index("\nRecipe(") :].split(")\n")[0]
    assert re.search(r"\bupdates: int = 1000,", signature), signature
    assert "checked" not in signature
    assert "on_train_begin" not in text
    assert re.search(r"\blow: float = 1e-0?6,", text), "the default's value, not the name of its constant"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files, without a line for each."""

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def address(site):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def browser():
    with started("hide-scrollbars", logs="performance") as driver:
        yield driver


@pytest.fixture
def opened(browser, address):
    """Opens pages at a width and in a colour scheme. After the test, checks that every request went to the site."""

    def open_page(page, width, scheme):
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == PHONE}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        )
        browser.get("about:blank")
        # The site remembers the scheme that a reader has seen.
        browser.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": address, "storageTypes": "local_storage"})
        browser.get(f"{address}/{page}")
        # A script sets the scheme.
        colours = {"light": "default", "dark": "slate"}[scheme]
        WebDriverWait(browser, 20).until(
            lambda driver: driver.find_element(By.TAG_NAME, "body").get_attribute("data-md-color-scheme") == colours
        )
        return browser

    browser.get_log("performance")
    yield open_page
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requests = [
        message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"
    ]
    assert len(requests) > 5
    assert [url for url in requests if not url.startswith((address, "data:", "blob:"))] == []


# One scheme for each width: the schemes differ in colours, and in pictures of the same size.
@pytest.mark.parametrize(("width", "scheme"), [(PHONE, "dark"), (DESKTOP, "light")])
def test_a_page_fits_the_screen(opened, width, scheme):
    for page in PAGES:
        shown = opened(page, width, scheme)
        content, pictures = shown.execute_script(
            "return [document.documentElement.scrollWidth, [...document.querySelectorAll('article img')].map("
            "image => image.getBoundingClientRect().right - document.querySelector('article').getBoundingClientRect().right)]"
        )
        assert content <= width, page
        assert max(pictures, default=0) < 1, page


def luminance(colour):
    """The relative luminance of WCAG 2, of a colour as CSS computes it: "rgb(23, 25, 31)"."""
    channels = [float(value) / 255 for value in re.findall(r"[\d.]+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(colour, other):
    brighter, darker = sorted((luminance(colour), luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_code_and_pictures_can_be_read_in_both_schemes(opened, scheme):
    shown = opened("index.html", DESKTOP, scheme)

    def style(selector, of):
        element = shown.find_element(By.CSS_SELECTOR, selector)
        return shown.execute_script("return getComputedStyle(arguments[0])[arguments[1]]", element, of)

    page = style("body", "background-color")
    assert (luminance(page) < 0.05) == (scheme == "dark"), page
    assert contrast(style("article p", "color"), page) > 7
    code = style("article pre code", "background-color")
    assert contrast(style("article pre code", "color"), code) > 7
    # Pictures have black axes.
    assert scheme == "light" or luminance(style("article img", "background-color")) == 1


def test_the_colours_follow_the_system_until_the_reader_chooses(opened):
    shown = opened("index.html", DESKTOP, "light")

    def dark(media=None):
        if media:
            features = [{"name": "prefers-color-scheme", "value": media}]
            shown.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
            shown.refresh()
        return luminance(shown.execute_script("return getComputedStyle(document.body).backgroundColor")) < 0.05

    assert [dark(), dark("dark"), dark("light")] == [False, True, False]
    shown.find_element(By.CSS_SELECTOR, "[data-md-component=palette] label:not([hidden])").click()
    assert not dark("dark")


def test_a_table_without_headings_shows_no_empty_line(opened):
    shown = opened("frameworks.html", DESKTOP, "light")
    heights = "return [...document.querySelectorAll('article thead')].map(head => head.getBoundingClientRect().height)"
    with_headings, without = shown.execute_script(heights)[:2]
    assert with_headings > 0
    assert without == 0
    wide = "const t = document.querySelector('article .md-typeset__scrollwrap'); return t.scrollWidth - t.clientWidth"
    assert shown.execute_script(wide) <= 0, "the table of frameworks fits a desktop"


def test_the_search_needs_no_network(opened):
    shown = opened("index.html", DESKTOP, "light")
    shown.find_element(By.CSS_SELECTOR, ".md-search__button").click()
    # Search and results are in a shadow tree of their own.
    shadow = "return [...document.querySelectorAll('*')].find(element => element.shadowRoot)?.shadowRoot"
    tree = WebDriverWait(shown, 20).until(lambda driver: driver.execute_script(shadow))
    WebDriverWait(shown, 20).until(lambda _: tree.find_elements(By.CSS_SELECTOR, "input"))
    tree.find_element(By.CSS_SELECTOR, "input").send_keys("warm_restarts")

    def results(_):
        return [link.get_attribute("href") for link in tree.find_elements(By.CSS_SELECTOR, "a")]

    WebDriverWait(shown, 20).until(lambda driver: any("api/schedules.html" in href for href in results(driver)))
