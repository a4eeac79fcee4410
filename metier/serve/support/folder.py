"""The documents' folder as it changes: what was edited is found within a few seconds."""

from __future__ import annotations

import logging
from pathlib import Path

from metier.apps.support.answer.papers import Papers
from metier.data.papers.folder import Mark, changed, read_paper
from metier.data.papers.passages import Passage, passages
from metier.errors import DataError

logger = logging.getLogger(__name__)


class Documents:
    """Brings what is searched up to a folder; called again and again, by one thread.

    The first call reads every document once and compares, for the folder may have changed since it was built.

    Args:
        folder: with the documents.
        papers: are changed.
    """

    def __init__(self, folder: str | Path, papers: Papers) -> None:
        self._folder, self._papers = Path(folder), papers
        self._marks: dict[str, Mark] = {}
        self._first = True

    def __call__(self) -> int:
        """Looks once; how many passages came or went."""
        found = changed(self._folder, self._marks)
        of_path = self._of_path()
        gone = [*found.gone, *(sorted(of_path.keys() - found.marks.keys()) if self._first else ())]
        count = sum(self._change(of_path.get(path, {}), ()) for path in gone)
        count += sum(self._change(of_path.get(path, {}), self._read(path)) for path in found.fresh)
        self._marks, self._first = found.marks, False
        return count

    def _of_path(self) -> dict[str, dict[str, Passage]]:
        """The passages that are searched, by document and id."""
        found: dict[str, dict[str, Passage]] = {}
        for one in self._papers.passages.values():
            found.setdefault(one.path, {})[one.id] = one
        return found

    def _read(self, path: str) -> tuple[Passage, ...]:
        try:
            return tuple(passages(read_paper(self._folder, path)))
        except DataError as error:
            logger.warning("a document is not read, and nothing of it is known any more: %s", error)
            return ()

    def _change(self, before: dict[str, Passage], now: tuple[Passage, ...]) -> int:
        """Takes out what a document says no more, and in what it says now."""
        ids = {one.id for one in now}
        gone = [id for id in before if id not in ids]
        come = [one for one in now if before.get(one.id) != one]
        if gone or come:
            self._papers.change(gone, come)
        return len(gone) + len(come)
