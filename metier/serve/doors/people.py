"""The page of those who may come in, as every console has it: people and their roles, keys of programs, the log of who
did what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from nicegui import ui
from sqlalchemy import Connection

from metier.serve.doors import hand as hands
from metier.serve.doors.screen import Screen
from metier.store import audit, people

SHOWN = 40
"""Entries of the log, the latest."""


class PeoplePage(Screen):
    """`/people`, before the pages' own `Screen` in the order of bases."""

    role = "admin"
    title = "people"

    def build(self) -> None:
        self.heading(self.say("people"))
        self.area(self._people, self._build_people)
        with ui.element("div").classes("m-card c-acts"):
            self._build_form()
        self.area(self._keys, self._build_keys)
        with ui.element("div").classes("m-card c-acts"):
            self._build_key_form()
        self.part("audit.html.j2", self._log)

    def _roles(self) -> dict[str, str]:
        return {role: self.say(role) for role in people.ROLES}

    def _people(self, connection: Connection) -> dict[str, Any]:
        return {"people": people.listing(connection)}

    def _build_people(self, found: Mapping[str, Any]) -> None:
        with ui.element("ul").classes("c-rows"):
            for one in found["people"]:
                with ui.element("li"):
                    ui.label(one.name).classes("c-grow")
                    ui.label(self.say("active" if one.active else "inactive")).classes("m-quiet")
                    role = self.choice(self.say("role_of", name=one.name), self._roles(), one.role)
                    role.on_value_change(lambda change, name=one.name: self._change(name, role=change.value))
                    words = self.say("let_out" if one.active else "let_in", name=one.name)
                    self.button(words, partial(self._change, one.name, active=not one.active))

    def _build_form(self) -> None:
        ui.html(f"<h2>{self.say('add_person')}</h2>", sanitize=False)
        name = self.entry(self.say("name"))
        role = self.choice(self.say("role"), self._roles(), "analyst")
        password = self.entry(self.say("initial_password"), kind="password", hint=self.say("sso_hint"))

        async def add() -> None:
            secret = password.value or None
            if await self.do("admin", lambda hand: hands.enrol(hand, name.value or "", role.value, secret)):
                name.set_value("")
                password.set_value("")

        with ui.element("div").classes("c-actions"):
            self.button(self.say("add_person"), add, main=True)

    async def _change(self, name: str, **changes: Any) -> None:
        await self.do("admin", lambda hand: hands.change(hand, name, **changes))

    def _keys(self, connection: Connection) -> dict[str, Any]:
        return {"keys": people.all_keys(connection)}

    def _build_keys(self, found: Mapping[str, Any]) -> None:
        ui.html(f"<h2>{self.say('keys')}</h2>", sanitize=False)
        with ui.element("ul").classes("c-rows"):
            for one in found["keys"]:
                with ui.element("li"):
                    ui.label(one.name).classes("c-grow")
                    ui.label(f"{self.say(one.role)} · {self.at(one.expires)}").classes("m-quiet")
                    self.button(self.say("revoke", name=one.name), partial(self._revoke, one.name))

    def _build_key_form(self) -> None:
        name = self.entry(self.say("key_name"))
        role = self.choice(self.say("role"), self._roles(), "analyst")

        async def add() -> None:
            made = await self.do("admin", lambda hand: hands.add_key(hand, name.value or "", role.value))
            if made:
                name.set_value("")
                self.tell(self.say("key_once", key=made))

        with ui.element("div").classes("c-actions"):
            self.button(self.say("add_key"), add, main=True)

    async def _revoke(self, name: str) -> None:
        await self.do("admin", lambda hand: hands.revoke_key(hand, name))

    def _log(self, connection: Connection) -> dict[str, Any]:
        return {"entries": [asdict(one) for one in audit.listing(connection, limit=SHOWN)]}
