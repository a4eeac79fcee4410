"""HTML to the text that its reader sees, and texts in the form in which names are looked for."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

UNSEEN = frozenset({
    "script", "style", "template", "noscript", "head", "title", "svg", "math", "iframe", "object", "textarea", "select",
})  # fmt: skip
"""Elements whose content is no text of the document."""
BREAKS = frozenset({
    "p", "div", "br", "li", "ul", "ol", "tr", "td", "th", "table", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote",
    "pre", "section", "article", "hr", "dd", "dt",
})  # fmt: skip
LONGEST = 500_000
"""Characters of markup that are looked at: the parser takes the square of the length for some malformed ones."""
_tags = re.compile(r"<[^>]{0,1000}>")
_no_tag = re.compile(r"<(?!(?:[A-Za-z/?]|!(?!\[))[^<>]*>)")
WIDE = {0xFF01 + at: 0x21 + at for at in range(94)} | {0x3000: 0x20}
"""From full-width letters, digits and signs to those of ASCII, for `str.translate`."""


def plain(markup: str) -> str:
    """The text of a piece of HTML: no tags, no scripts, entities replaced, a blank where a paragraph ends."""
    if "<" not in markup:
        return html.unescape(markup) if "&" in markup else markup
    reader = _Reader()
    try:
        reader.feed(tamed(markup[:LONGEST]))
        reader.close()
    except AssertionError:  # how this parser meets marked sections that it does not know
        return html.unescape(_tags.sub(" ", markup[:LONGEST]))
    return "".join(reader.found).strip()


def tamed(markup: str) -> str:
    """Markup without comments, and with what only looks like the beginning of a tag written as text.

    The parser searches the rest of a page for the end of each of these: a page made of them would take hours.
    """
    pieces, at = [], 0
    while (start := markup.find("<!--", at)) >= 0:
        pieces.append(markup[at:start])
        end = markup.find("-->", start + 4)
        at = end + 3 if end >= 0 else len(markup)
    return _no_tag.sub("&lt;", "".join([*pieces, markup[at:]]))


def matchable(text: str) -> str:
    """A text in lower case and with half-width letters and digits, for looking things up: it is never shown.

    As long as `text`, so that what is found at some place of it is at the same place of the text.
    """
    lower = text.lower()
    if len(lower) != len(text):  # the capital I with a dot becomes two characters
        lower = "".join(small if len(small := one.lower()) == 1 else one for one in text)
    return lower if lower.isascii() else lower.translate(WIDE)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._unseen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in UNSEEN and len(self._unseen) < 100:
            self._unseen.append(tag)
        elif tag in BREAKS:
            self.found.append(" ")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in BREAKS:
            self.found.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._unseen:
            del self._unseen[self._unseen.index(tag) :]
        elif tag in BREAKS:
            self.found.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.found.append(data)
