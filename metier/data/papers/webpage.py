"""HTML: headings, paragraphs, lists and tables of a page, without what serves to get around in it."""

from __future__ import annotations

from html.parser import HTMLParser

from metier.data.markup import BREAKS, UNSEEN, tamed
from metier.data.papers.paper import Kind, Piece

ASIDE = (UNSEEN - {"head", "title"}) | {
    "nav",
    "footer",
    "aside",
    "form",
    "button",
    "dialog",
    "audio",
    "video",
    "canvas",
}
"""Elements whose content nobody looks for. The head stays for its title."""
_void = "area base br col embed hr img input link meta param source track wbr"
VOID = frozenset(_void.split())
HEADINGS = {f"h{level}": level for level in range(1, 7)}
_ends_head = frozenset({"body", "h1", "h2", "h3", "h4", "h5", "h6", "p", "div", "main", "article", "section", "table"})


def from_html(markup: str) -> tuple[str, list[Piece]]:
    """The title and the blocks of a page."""
    page = _Page()
    try:
        page.feed(tamed(markup))
        page.close()
    except AssertionError:  # how this parser meets marked sections that it does not know; what came before is kept
        page.end()
    page.end()
    return page.title.strip(), page.found


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[Piece] = []
        self.title = ""
        self._text: list[str] = []
        self._rows: list[str] = []
        self._cells: list[str] | None = None
        self._unseen: list[str] = []
        self._level = self._tables = self._lists = 0
        self._titled = self._head = self._pre = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._unseen or (tag in ASIDE and tag not in VOID) or _hidden(attrs):
            if tag not in VOID and len(self._unseen) < 200:
                self._unseen.append(tag)
            return
        if tag in _ends_head:
            self._head = False
        if tag == "br":
            self._text.append("\n")
        elif tag == "head":
            self._head = True
        elif tag == "title":
            self._titled = not self.title
        elif tag in HEADINGS or tag in BREAKS or tag in ("main", "header", "figure", "figcaption", "caption"):
            self._open(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "br" and not self._unseen:
            self._text.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if self._unseen:
            if tag in self._unseen:
                del self._unseen[len(self._unseen) - 1 - self._unseen[::-1].index(tag) :]
            return
        if tag == "title":
            self._titled = False
        elif tag == "head":
            self._head = False
        elif tag in HEADINGS or tag in BREAKS:
            self._close(tag)

    def handle_data(self, data: str) -> None:
        if self._unseen:
            return
        if self._titled:
            self.title += data[:500]
        elif not self._head:
            self._text.append(data if self._pre else data.replace("\n", " "))

    def _open(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._cell()
            self._cells = self._cells if self._cells is not None else []
            return
        if self._tables and tag != "table":
            if tag == "tr":
                self._row()
            else:
                self._text.append(" ")
            return
        self._flush()
        if tag in ("ul", "ol", "dl"):
            self._lists += 1
        elif tag == "table":
            self._tables += 1
        elif tag == "pre":
            self._pre = True
        self._level = HEADINGS.get(tag, 0)

    def _close(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._cell()
        elif tag == "tr":
            self._row()
        elif tag == "table" and self._tables:
            self._row()
            self._tables -= 1
            self._lines()
        elif not self._tables:
            self._flush()
            self._level = 0
            if tag in ("ul", "ol", "dl") and self._lists:
                self._lists -= 1
                self._lines()
            elif tag == "pre":
                self._pre = False

    def _cell(self) -> None:
        """Ends a cell: what was read since the last one."""
        if self._cells is None:
            return
        text = " ".join("".join(self._text).split())
        self._text = []
        if text:
            self._cells.append(text)

    def _row(self) -> None:
        self._cell()
        if self._cells:
            self._rows.append(" | ".join(self._cells))
        self._cells = None

    def _lines(self) -> None:
        if not self._tables and not self._lists and self._rows:
            self.found.append(Piece("lines", "\n".join(self._rows)))
            self._rows = []

    def _flush(self) -> None:
        text = "".join(self._text).strip()
        self._text = []
        if not text:
            return
        if self._lists and not self._level:
            self._rows.append(" ".join(text.split()))
            return
        kind: Kind = "heading" if self._level else "lines" if self._pre else "text"
        self.found.append(Piece(kind, text, self._level))

    def end(self) -> None:
        """Puts away what no element closed."""
        self._row()
        self._flush()
        self._tables = self._lists = 0
        self._lines()


def _hidden(attrs: list[tuple[str, str | None]]) -> bool:
    return any(name == "hidden" or (name == "aria-hidden" and value == "true") for name, value in attrs)
