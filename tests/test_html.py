"""The frame of pages and of notebook forms."""

import math
from html.parser import HTMLParser

import pytest

from learnrate import html

NASTY = '<script>alert(1)</script> & "quoted" {braces}'


class Tags(HTMLParser):
    """The tags and the texts of a document."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.texts.append(data)


def test_a_page_escapes_plain_text_and_keeps_html():
    text = html.page(NASTY, lead="<p>lead</p>", picture="<b>picture</b>", description=NASTY, sections=["<i>section</i>"])
    page = Tags(text)
    assert page.tags.count("script") == 0
    assert page.texts.count(NASTY) == 2  # the title of the window, and the heading
    assert {"lead", "picture", "section"} <= set(page.texts)
    assert "default-src 'none'" in text


def test_a_notebook_form_escapes_everything_but_the_picture():
    document = Tags(html.notebook(NASTY, [(NASTY, NASTY)], {NASTY: [NASTY]}, "<svg></svg>"))
    assert document.tags.count("svg") == 1
    assert document.tags.count("script") == 0
    assert document.texts.count(NASTY) == 5


def test_a_notebook_form_leaves_out_what_is_empty():
    document = Tags(html.notebook("title"))
    assert not {"table", "ul"} & set(document.tags)


def test_numbers_that_are_not_finite_become_gaps():
    assert html.numbers([1, math.nan, math.inf, -math.inf, 0.5]) == [1.0, None, None, None, 0.5]


@pytest.mark.parametrize("text", ["\udcff", "η"])
def test_every_text_can_be_written(text, tmp_path):
    html.write(tmp_path / "page.html", text)
    assert (tmp_path / "page.html").read_bytes() == text.encode("utf-8", "xmlcharrefreplace")
