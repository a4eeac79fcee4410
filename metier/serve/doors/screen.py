"""What the pages of every console have: who looks, in which language and zone; the frame; news without a reload;
acts.

Everything that is shown is drawn from the store by `draw`, in a thread, and sent where it differs from what is there.
What somebody does is done by who they are at that moment: the page may have been open for hours.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from fastapi import Request
from nicegui import ui
from sqlalchemy import Connection
from starlette.responses import RedirectResponse, Response

from metier.errors import MetierError, StoreGone
from metier.serve.doors.drawing import clock, style, zone_of
from metier.serve.doors.phrases import language_of
from metier.serve.problems import Problem

if TYPE_CHECKING:
    from datetime import tzinfo

    from markupsafe import Markup

    from metier.serve.doors.door import Caller
    from metier.serve.doors.hand import Hand
    from metier.serve.doors.house import House

logger = logging.getLogger(__name__)

THEMES = {"auto": None, "light": False, "dark": True}
ICONS = {"auto": "contrast", "light": "light_mode", "dark": "dark_mode"}
ZONE = """<script>(() => {
  const zone = encodeURIComponent(Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC');
  const known = document.cookie.split('; ').find(one => one.startsWith('metier-zone='));
  if (known === 'metier-zone=' + zone) return;
  document.cookie = 'metier-zone=' + zone + '; path=/; max-age=31536000; samesite=strict';
  if (document.cookie.includes('metier-zone=' + zone)) location.reload();
})()</script>"""
Load = Callable[[Connection], Mapping[str, Any]]


class Absent(Exception):
    """What the address of a page names is not there."""


class Screen:
    """One visitor's page; a kind of page says what is on it in `build`."""

    role: ClassVar[str] = "viewer"
    title: ClassVar[str] = ""
    menu: ClassVar[Sequence[tuple[str, str, str]]] = ()
    """Paths, names and the roles that see them."""

    def __init__(self, console: Any, caller: Caller, request: Request) -> None:
        self.console, self.caller = console, caller
        self.asked = dict(request.query_params)
        self.params = {name: str(value) for name, value in request.path_params.items()}
        self.path, self.query = request.url.path, request.url.query
        self.language = language_of(request)
        theme = request.cookies.get("metier-theme", "auto")
        self.theme = theme if theme in THEMES else "auto"
        self.zone = str(self.zone_of(request.cookies.get("metier-zone", "UTC").replace("%2F", "/")))
        self._parts: list[tuple[ui.html, str, Load]] = []
        self._areas: list[tuple[ui.element, Load, Callable[[Mapping[str, Any]], None]]] = []
        self._shown: dict[int, Any] = {}
        self._mark: Any = None
        self._turn = asyncio.Lock()

    # -- what a kind of page says --------------------------------------------------------------------------------------
    def check(self, connection: Connection) -> None:
        """Raises `Absent` where the address names something that is not there."""

    def build(self) -> None:
        """Puts parts and acts on the page."""

    def mark(self) -> Any:
        """What changes whenever something did that pages show; called in a thread."""
        raise NotImplementedError

    def counts(self, connection: Connection) -> Mapping[str, int]:
        """What stands beside names of the menu."""
        return {}

    def foot(self, connection: Connection) -> Mapping[str, Any]:
        """The values of the template `foot.html.j2`."""
        return {}

    def shared(self) -> Mapping[str, Any]:
        """Values that every template of the application has."""
        return {}

    def announce(self) -> None:
        """Called after a look that found news."""

    def draw(self, template: str, **values: Any) -> Markup:
        """A template of the application in the visitor's language."""
        raise NotImplementedError

    # -- words ---------------------------------------------------------------------------------------------------------
    def say(self, name: str, /, **values: object) -> str:
        """A phrase in the visitor's language."""
        raise NotImplementedError

    @staticmethod
    def zone_of(name: str) -> tzinfo:
        """A time zone; UTC for a name that is none."""
        return zone_of(name)

    def at(self, seconds: float | None) -> str:
        """A time on the viewer's clock."""
        return clock(seconds, self.zone)

    def may(self, role: str) -> bool:
        return self.caller.may(role)

    # -- the frame -----------------------------------------------------------------------------------------------------
    async def open(self) -> None:
        """Draws the page of the client that NiceGUI is in."""
        ui.colors(primary="#0f766e")
        self._dark = ui.dark_mode(THEMES[self.theme])
        tag = "zh-CN" if self.language == "zh" else "en"
        ui.add_head_html(ZONE + f"<script>document.documentElement.lang = '{tag}'</script>")
        ui.add_css(str(style()))
        ui.page_title(f"{self.say(self.title)} · Metier")
        with ui.element("div").classes("c-page"):
            self._top()
            self.notice = ui.html("", sanitize=False, tag="p").classes("c-notice").props("role=status aria-live=polite")
            with ui.element("main").classes("c-main").props('id="content" tabindex="-1"'):
                self.build()
            self.part("foot.html.j2", self._foot, tag="footer", classes="c-foot")
        await self.refresh()
        ui.timer(self.console.settings.look_seconds, self._look)

    def _top(self) -> None:
        ui.html(f'<a class="c-skip" href="#content">{self.say("skip")}</a>', sanitize=False)
        with ui.element("header").classes("c-top"):
            ui.html('<a class="m-mark" href="/">Metier</a>', sanitize=False)
            menu = self.part("menu.html.j2", self._menu, tag="nav", classes="c-menu")
            menu.props["aria-label"] = self.say("menu")
            with ui.element("div").classes("c-tools"):
                other = ui.button("EN" if self.language == "zh" else "中文", color=None, on_click=self._switch_language)
                self.name(other.props("flat dense no-caps"), self.say("language"))
                theme: ui.button = ui.button(icon=ICONS[self.theme], color=None)
                theme.on_click(lambda: self._switch_theme(theme)).props("flat dense round")
                self.name(theme, self.say(f"theme_{self.theme}"))
                ui.html(self.draw("who.html.j2", caller=self.caller), sanitize=False)

    def _menu(self, connection: Connection) -> dict[str, Any]:
        counts = self.counts(connection)
        entries = [(path, name, counts.get(name, 0)) for path, name, role in self.menu if self.may(role)]
        return {"entries": entries, "here": self.path}

    def _foot(self, connection: Connection) -> Mapping[str, Any]:
        return self.foot(connection)

    # -- parts ---------------------------------------------------------------------------------------------------------
    def part(self, template: str, load: Load, tag: str = "section", classes: str = "") -> ui.html:
        """A piece of the page that is drawn from the store, again whenever something changes there."""
        element = ui.html("", sanitize=False, tag=tag)
        element.classes(classes)
        self._parts.append((element, template, load))
        return element

    def area(self, load: Load, build: Callable[[Mapping[str, Any]], None], classes: str = "") -> None:
        """A piece with buttons and fields in it: built anew where what it shows is another."""
        self._areas.append((ui.element("div").classes(classes), load, build))

    async def refresh(self) -> None:
        """Draws what changed; one after the other, so that what is older never comes last."""
        async with self._turn:
            self._show(*await asyncio.to_thread(self._drawn))

    def _show(self, drawn: list[str], loaded: list[Mapping[str, Any]]) -> None:
        for (element, _, _), content in zip(self._parts, drawn, strict=True):
            if self._shown.get(element.id) != content:
                self._shown[element.id] = content
                element.set_content(content)
        for (place, _, build), found in zip(self._areas, loaded, strict=True):
            if self._shown.get(place.id) != found:
                self._shown[place.id] = found
                place.clear()
                with place:
                    build(found)

    def _drawn(self) -> tuple[list[str], list[Mapping[str, Any]]]:
        common = {"zone": self.zone, "caller": self.caller, **self.shared()}
        with self.console.store.read() as connection:
            parts = [str(self.draw(template, **(common | dict(load(connection))))) for _, template, load in self._parts]
            return parts, [load(connection) for _, load, _ in self._areas]

    async def _look(self) -> None:
        """Looks for news."""
        try:
            mark, caller = await asyncio.to_thread(self._now_known)
        except StoreGone as error:
            self.tell(str(error))
            return
        if caller is None or caller.role != self.caller.role:
            ui.navigate.to(self._login() if caller is None else f"{self.path}?{self.query}")
            return
        if mark != self._mark:
            first, self._mark = self._mark is None, mark
            if not first:
                await self.refresh()
            self.announce()

    def _now_known(self) -> tuple[Any, Caller | None]:
        return self.mark(), self.console.door.again(self.caller)

    def _login(self) -> str:
        return "/login?next=" + quote(self.path + (f"?{self.query}" if self.query else ""), safe="")

    # -- acts ----------------------------------------------------------------------------------------------------------
    async def do(self, role: str, work: Callable[[Hand], Any], done: str = "done") -> Any:
        """Does something for the caller, who may by now be nobody, and says how it went; `None` where it did not."""
        try:
            caller = await asyncio.to_thread(self.console.door.again, self.caller)
            if caller is None:
                ui.navigate.to(self._login())
                return None
            if not caller.may(role):
                self.tell(self.say("not_allowed"))
                return None
            result = await asyncio.to_thread(work, self.console.hand(caller))
        except (MetierError, Problem) as error:
            self.tell(str(error))
            return None
        except Exception:
            logger.exception("the page could not do it")
            self.tell(self.say("failed"))
            return None
        await self.refresh()
        self.tell(self.say(done))
        return True if result is None else result

    def tell(self, text: str) -> None:
        """Says something to the visitor, as text."""
        self.notice.set_content(str(self.draw("said.html.j2", text=text)))

    # -- small parts ---------------------------------------------------------------------------------------------------
    def heading(self, text: str, lead: str = "") -> None:
        ui.html(self.draw("heading.html.j2", text=text, lead=lead), sanitize=False)

    def button(self, words: str, act: Callable[[], Any], *, main: bool = False, label: str = "") -> ui.button:
        made = ui.button(words, color=None, on_click=act)
        made.props("unelevated no-caps" if main else "outline no-caps").classes("m-go" if main else "c-act")
        if label:
            self.name(made, label)
        return made

    def entry(self, label: str, value: str = "", kind: str = "text", hint: str = "") -> ui.input:
        made = ui.input(label=label, value=value).classes("m-field").props(f"outlined dense type={kind} maxlength=2000")
        made.props["aria-label"] = label
        if hint:
            made.props["hint"] = hint
        if kind in ("datetime-local", "password"):
            made.props("stack-label autocomplete=new-password" if kind == "password" else "stack-label")
        return made

    def choice(self, label: str, options: Mapping[str, str], value: str) -> ui.select:
        made = ui.select(dict(options), value=value, label=label).classes("m-field c-choice").props("outlined dense")
        made.props["aria-label"] = label
        return made

    @staticmethod
    def name(element: ui.element, words: str) -> None:
        element.props["aria-label"] = element.props["title"] = words

    def _switch_language(self) -> None:
        other = "en" if self.language == "zh" else "zh"
        ui.run_javascript(_cookie("language", other) + "; location.reload()")

    def _switch_theme(self, button: ui.button) -> None:
        names = list(THEMES)
        self.theme = names[(names.index(self.theme) + 1) % len(names)]
        self._dark.set_value(THEMES[self.theme])
        button.set_icon(ICONS[self.theme])
        self.name(button, self.say(f"theme_{self.theme}"))
        button.update()
        ui.run_javascript(_cookie("theme", self.theme))


def register(path: str, kind: type[Screen], console: House) -> None:
    """Shows a kind of page at a path."""

    @ui.page(path, title="Metier", response_timeout=30)
    async def shown(request: Request) -> Response | None:
        place = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        caller = await asyncio.to_thread(console.door.caller, request)
        if caller is None:
            return _no_page(RedirectResponse("/login?next=" + quote(place, safe=""), 303))
        if not caller.may(kind.role):
            return _no_page(Problem(403, f"The role {caller.role} may not see this page.").response())
        screen = kind(console, caller, request)
        try:
            await asyncio.to_thread(_checked, screen)
        except Absent:
            return _no_page(Problem(404, screen.say("not_there")).response())
        await screen.open()
        return None


def _no_page(answer: Response) -> Response:
    """An answer in place of a page. NiceGUI would keep the page that it began for a minute: with a few hundred requests
    somebody whom nobody knows would have taken all those that may be open."""
    ui.context.client.delete()
    return answer


def _checked(screen: Screen) -> None:
    with screen.console.store.read() as connection:
        screen.check(connection)


def _cookie(name: str, value: str) -> str:
    return f"document.cookie = {json.dumps(f'metier-{name}={value}; path=/; max-age=31536000; samesite=strict')}"
