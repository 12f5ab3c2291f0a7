from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from foundation.page import Page

PNG = b"\x89PNG\r\n\x1a\n"
EVIL = "<script>alert('x')</script> & \"quoted\""


class Elements(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img", "source"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def everything(text: str) -> Page:
    page = Page(text, lead=text).heading(text).paragraph(text).paragraph(text, soft=True).points([text]).code(text)
    page.folded(text, text).table([text, text], [[text, 1.5], [text, (text, None)]], caption=text)
    page.folded_table(text, [text], [[text]])
    return page.picture(PNG, says=text, caption=text, dark=PNG)


def test_every_text_is_escaped_wherever_it_enters():
    html = everything(EVIL).html()
    assert "alert('x')" not in html
    assert html.count("<script>") == 1  # the sorting, which is ours


def test_the_elements_of_a_page_are_closed_in_order():
    assert Elements(everything("text").html()).open == []


def test_a_page_asks_the_network_for_nothing():
    elements = Elements(everything("text").html()).found
    for _, attributes in elements:
        for name in ("src", "srcset", "href", "action"):
            assert (attributes.get(name) or "data:").startswith("data:")
    assert not re.search(r"https?://|url\(|@import", everything("text").html())


def test_a_picture_has_a_text_alternative_and_a_dark_version():
    elements = Elements(everything("what it shows").html()).found
    (image,) = [attributes for tag, attributes in elements if tag == "img"]
    (source,) = [attributes for tag, attributes in elements if tag == "source"]
    assert image["alt"] == "what it shows"
    assert source["media"] == "(prefers-color-scheme: dark)"


@pytest.mark.parametrize(("cell", "shown"), [(1.5, ">1.5<"), (("a b", 2.0), 'data-value="2.0">a b<'), ("t", ">t<")])
def test_a_cell_shows_its_text_and_sorts_by_its_number(cell, shown):
    assert shown in Page("t").table(["x"], [[cell]]).html()


def test_a_page_without_a_table_has_no_script():
    assert "<script" not in Page("t").paragraph("p").html()


def test_a_page_fits_the_width_of_a_phone():
    assert 'name="viewport" content="width=device-width' in Page("t").html()


def test_a_page_is_written_whole(tmp_path: Path):
    page = Page("title").paragraph("text")
    assert page.write(tmp_path / "page.html").read_text(encoding="utf-8") == page.html()
