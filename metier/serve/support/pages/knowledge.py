"""The knowledge: entries are searched, written, changed, taken out of use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from nicegui import ui
from sqlalchemy import Connection

from metier.errors import DataError
from metier.serve.support.pages.frame import Screen
from metier.store import knowledge
from metier.store.knowledge import StoredEntry
from metier.types import new_id

PAGE = 25
LONGEST = 8_000


class KnowledgePage(Screen):
    """`/knowledge`; `?new=QUESTION` begins an entry."""

    title = "knowledge"

    def build(self) -> None:
        self.words, self.unused, self.shown = self.asked.get("q", "")[:200], False, PAGE
        self.edited: StoredEntry | None = None
        self._seen: tuple[int, list[StoredEntry]] = (-1, [])
        if "new" in self.asked and self.may("analyst"):
            self.edited = StoredEntry(new_id(), self.asked["new"][:2_000], "")
        self.heading(self.say("knowledge"), self.say("knowledge_lead"))
        self.area(self._editor, self._build_editor)
        with ui.element("div").classes("c-actions"):
            found = self.entry(self.say("search_entries"), self.words).classes("c-grow").props("debounce=250 clearable")
            found.on_value_change(lambda change: self._search(change.value or ""))
            ui.checkbox(self.say("with_unused"), on_change=lambda change: self._with_unused(change.value))
            if self.may("analyst"):
                self.button(self.say("new_entry"), lambda: self._edit(StoredEntry(new_id(), "", "")), main=True)
        self.area(self._entries, self._build_entries)

    # -- the list ------------------------------------------------------------------------------------------------------
    def _entries(self, connection: Connection) -> dict[str, Any]:
        turn = knowledge.turn_of(connection)
        if self._seen[0] != turn:
            self._seen = (turn, knowledge.changed(connection)[::-1])
        words = self.words.casefold().split()
        found = [one for one in self._seen[1] if (one.active or self.unused) and _holds(one, words)]
        return {"rows": [asdict(one) for one in found[: self.shown]], "count": len(found)}

    def _build_entries(self, found: Mapping[str, Any]) -> None:
        ui.label(self.say("n_entries", n=f"{found['count']:,}")).classes("m-quiet").props('role="status"')
        with ui.element("ul").classes("d-cards"):
            for row in found["rows"]:
                with ui.element("li").classes("m-card"):
                    ui.html(str(self.draw("entry.html.j2", one=row, zone=self.zone)), sanitize=False)
                    if self.may("analyst"):
                        self._build_acts(StoredEntry(**row))
        if found["count"] > len(found["rows"]):
            self.button(self.say("more"), self._more)

    def _build_acts(self, one: StoredEntry) -> None:
        with ui.element("div").classes("c-actions"):
            self.button(self.say("edit"), partial(self._edit, one), label=self.say("edit_it", name=one.question))
            words = self.say("take_out" if one.active else "put_back")
            self.button(words, partial(self._use, one), label=f"{words}: {one.question}")

    async def _search(self, words: str) -> None:
        self.words, self.shown = words, PAGE
        await self.refresh()

    async def _with_unused(self, wanted: bool) -> None:
        self.unused = wanted
        await self.refresh()

    async def _more(self) -> None:
        self.shown += PAGE
        await self.refresh()

    # -- one entry -----------------------------------------------------------------------------------------------------
    def _editor(self, connection: Connection) -> dict[str, Any]:
        return {"id": self.edited.id if self.edited else "", "turn": self.edited.turn if self.edited else 0}

    def _build_editor(self, found: Mapping[str, Any]) -> None:
        one = self.edited
        if one is None:
            return
        with ui.element("div").classes("m-card d-editor"):
            ui.html(f"<h2>{self.say('edit' if one.revision else 'new_entry')}</h2>", sanitize=False)
            question = self.entry(self.say("question"), one.question)
            answer = self.area_field(self.say("answer"), one.answer, most=LONGEST)
            others = self.area_field(self.say("others"), "\n".join(one.others), most=20_000)
            intent = self.entry(self.say("intent"), one.intent)
            spoken = {"": self.say("any_language"), "en": "English", "zh": "中文"}
            language = self.choice(self.say("entry_language"), spoken, one.language if one.language in spoken else "")

            async def save() -> None:
                lines = [line.strip() for line in (others.value or "").splitlines() if line.strip()]
                made = replace(
                    one, question=(question.value or "").strip(), answer=(answer.value or "").strip(), others=lines,
                    intent=(intent.value or "").strip(), language=language.value or "",
                )  # fmt: skip
                await self._save(made)

            with ui.element("div").classes("c-actions"):
                self.button(self.say("save"), save, main=True)
                self.button(self.say("cancel"), lambda: self._edit(None))

    async def _edit(self, one: StoredEntry | None) -> None:
        self.edited = one
        await self.refresh()
        self.to_top()

    async def _save(self, made: StoredEntry) -> None:
        def work(hand: Any) -> bool:
            if not made.question or not made.answer:
                raise DataError(self.say("needs_both"))
            self.console.review.edit(made, hand.who)
            self.edited = None
            return True

        await self.do("analyst", work)

    async def _use(self, one: StoredEntry) -> None:
        changed = replace(one, active=not one.active)
        await self.do("analyst", lambda hand: self.console.review.edit(changed, hand.who))


def _holds(one: StoredEntry, words: list[str]) -> bool:
    """Whether an entry has every word somewhere."""
    text = " ".join((one.question, one.answer, one.intent, *one.others)).casefold()
    return all(word in text for word in words)
