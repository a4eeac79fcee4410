"""The review queue: what might become knowledge, what a replay says of it, and what was promoted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from nicegui import ui
from sqlalchemy import Connection

from metier.apps.support.learn.reasons import because
from metier.serve.support.pages.frame import Screen
from metier.store import knowledge
from metier.store.knowledge import Candidate

SHOWN = 50
DECIDED = 20


class ReviewPage(Screen):
    """`/review`"""

    role = "analyst"
    title = "review"

    def build(self) -> None:
        self.opened: Candidate | None = None
        self.intents: list[str] = []
        self.heading(self.say("review"), self.say("review_lead"))
        self.area(self._one, self._build_one)
        self.area(self._waiting, self._build_waiting)
        self.area(self._decided, self._build_decided)

    def mark(self) -> Any:
        """Also what was decided."""
        with self.console.store.read() as connection:
            latest = knowledge.promoted(connection, 1)
        return super().mark(), [(one.id, one.verdict) for one in latest]

    # -- what waits ----------------------------------------------------------------------------------------------------
    def _waiting(self, connection: Connection) -> dict[str, Any]:
        found = knowledge.waiting(connection, limit=SHOWN)
        return {"rows": [asdict(one) for one in found], "opened": self.opened.id if self.opened else ""}

    def _build_waiting(self, found: Mapping[str, Any]) -> None:
        if not found["rows"]:
            ui.label(self.say("nothing_waits")).classes("m-quiet")
        with ui.element("ul").classes("d-cards"):
            for row in found["rows"]:
                if row["id"] == found["opened"]:
                    continue
                with ui.element("li").classes("m-card"):
                    ui.html(str(self.draw("candidate.html.j2", one=row, zone=self.zone)), sanitize=False)
                    with ui.element("div").classes("c-actions"):
                        words = self.say("look_at_it", name=row["question"])
                        self.button(self.say("look_at"), partial(self._open, Candidate(**row)), label=words)

    async def _open(self, one: Candidate | None) -> None:
        self.opened = one
        await self.refresh()
        self.to_top()

    # -- one candidate -------------------------------------------------------------------------------------------------
    def _one(self, connection: Connection) -> dict[str, Any]:
        if self.opened is None:
            return {"id": ""}
        self.intents = knowledge.intents(connection)  # beside what is watched: what is typed stays when there are more
        return {"id": self.opened.id}

    def _build_one(self, found: Mapping[str, Any]) -> None:
        one = self.opened
        if one is None:
            return
        with ui.element("div").classes("m-card d-editor"):
            ui.html(str(self.draw("candidate.html.j2", one=asdict(one), zone=self.zone)), sanitize=False)
            near = {row["id"]: (row["question"], f"{100 * row['score']:.0f}%") for row in one.near or ()}
            ways = {id: self.say("merge_with", name=name, score=score) for id, (name, score) in near.items()}
            self.merge = self.choice(self.say("becomes"), {"": self.say("as_new"), **ways}, "")
            self.answer = self.area_field(self.say("right_answer"), one.answer)
            intents = {"": self.say("no_intent"), **{name: name for name in self.intents}}
            self.intent = self.choice(self.say("intent"), intents, "")
            self.report = ui.html("", sanitize=False).props('role="status"')
            with ui.element("div").classes("c-actions"):
                self.button(self.say("try_out"), partial(self._try, one))
                self.button(self.say("promote"), partial(self._promote, one), main=True)
                self.button(self.say("cancel"), lambda: self._open(None))
            with ui.element("div").classes("c-actions"):
                self.reason = self.entry(self.say("reason")).classes("c-grow")
                self.button(self.say("refuse"), partial(self._refuse, one))

    def _typed(self, one: Candidate) -> dict[str, str]:
        """How the entry would stand; an answer that nobody changed is not laid over the one that it is merged with."""
        typed, merge = (self.answer.value or "").strip(), self.merge.value or ""
        unchanged = merge and typed == one.answer.strip()
        return {"merge": merge, "answer": "" if unchanged else typed, "intent": self.intent.value or ""}

    def _because(self, report: Mapping[str, Any] | None) -> list[str]:
        """The reasons of a report in the language of the page."""
        return [because(one, self.language) for one in (report or {}).get("reasons", ())]

    async def _try(self, one: Candidate) -> None:
        review, typed = self.console.review, self._typed(one)
        found = await self.do(
            "analyst", lambda hand: review.tried(review.proposed(one, **typed), one.question).shown(), ""
        )
        if found:
            found["reasons"] = self._because(found)
            self.report.set_content(str(self.draw("report.html.j2", report=found)))

    async def _promote(self, one: Candidate) -> None:
        review, typed = self.console.review, self._typed(one)
        done = await self.do("analyst", lambda hand: review.promote(one.id, hand.who, **typed), "")
        if done:
            await self._open(None)
            reasons = " ".join(self._because(done.report))
            self.tell(self.say("promoted") if done.verdict == "promoted" else self.say("not_promoted", reasons=reasons))

    async def _refuse(self, one: Candidate) -> None:
        reason = (self.reason.value or "").strip()
        if await self.do("analyst", lambda hand: self.console.review.refuse(one.id, hand.who, reason), ""):
            await self._open(None)
            self.tell(self.say("refused"))

    # -- what was decided ----------------------------------------------------------------------------------------------
    def _decided(self, connection: Connection) -> dict[str, Any]:
        rows = []
        for one in knowledge.promoted(connection, DECIDED):
            asked = [knowledge.candidate_of(connection, id).question for id in one.candidates]
            rows.append({
                "one": asdict(one), "question": " · ".join(asked),
                "reasons": self._because(one.report) if one.verdict == "refused" else [],
            })  # fmt: skip
        return {"rows": rows}

    def _build_decided(self, found: Mapping[str, Any]) -> None:
        if not found["rows"]:
            return
        ui.html(f"<h2>{self.say('decided')}</h2>", sanitize=False)
        with ui.element("ul").classes("d-cards"):
            for row in found["rows"]:
                with ui.element("li").classes("m-card"):
                    ui.html(str(self.draw("promotion.html.j2", zone=self.zone, **row)), sanitize=False)
                    if row["one"]["verdict"] == "promoted":
                        back = partial(self._roll_back, row["one"]["id"])
                        self.button(self.say("roll_back"), back, label=self.say("roll_back_it", name=row["question"]))

    async def _roll_back(self, id: str) -> None:
        await self.do("analyst", lambda hand: self.console.review.roll_back(id, hand.who), "rolled_back")
