"""The page at `/`: type a text, see what each head makes of it. The same queue, keys and limits as the API."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from nicegui import ui

from metier.errors import MetierError
from metier.serve import drawing
from metier.serve.mounting import mount
from metier.serve.problems import Problem
from metier.serve.words import LANGUAGES, preferred, word
from metier.types import Document

if TYPE_CHECKING:
    from collections.abc import Callable

    from metier.serve.served import ServedRun
    from metier.serve.service import Service
    from metier.types import Prediction

logger = logging.getLogger(__name__)

THEMES = {"auto": None, "light": False, "dark": True}
ICONS = {"auto": "contrast", "light": "light_mode", "dark": "dark_mode"}
WRONG_KEY_SECONDS = 0.5


def add_page(app: FastAPI, service: Service) -> None:
    """Mounts NiceGUI in `app` for `/` (see `mounting.mount`)."""
    mount(app, lambda path: path == "/", service.settings.limits.connections)

    @ui.page("/", title="Metier")
    def index(request: Request) -> None:
        asked = request.query_params.get("lang") or request.cookies.get("metier-language", "")
        language = asked if asked in LANGUAGES else preferred(request.headers.get("accept-language", ""))
        theme = request.cookies.get("metier-theme", "auto")
        run = service.runs.get(request.query_params.get("run", ""), service.default)
        TryPage(service, run, language, theme if theme in THEMES else "auto").build()


@dataclass
class TryPage:
    """One visitor's page. `answered` holds the last answer of each run; `_spoken` are the functions that say everything
    again, in another language or of another run."""

    service: Service
    run: ServedRun
    language: str
    theme: str
    opened: bool = False
    paired: bool = False
    answered: dict[str, tuple[Document, dict[str, Prediction]]] = field(default_factory=dict)
    _spoken: list[Callable[[], None]] = field(default_factory=list)

    def build(self) -> None:
        """Draws the page of the client that NiceGUI is in."""
        self.opened = not self.service.keys
        self.paired = bool(self.run.about.get("pair"))
        ui.colors(primary="#0f766e")
        self._dark = ui.dark_mode(THEMES[self.theme])
        ui.add_head_html(f"<script>document.documentElement.lang = '{self._tag()}'</script>")
        ui.add_css(files("metier.serve").joinpath("page.css").read_text(encoding="utf-8"))
        with ui.element("div").classes("m-page"):
            self._top()
            self._lasting = len(self._spoken)
            with ui.element("main") as self._main:
                self._open() if self.opened else self._door()

    def _top(self) -> None:
        with ui.element("header").classes("m-top"):
            ui.label("Metier").classes("m-mark")
            with ui.element("div").classes("m-run") as self._which:
                if self.opened:
                    self._name_run()
            speak = ui.button(color=None, on_click=self._switch_language).props("flat dense no-caps")
            self._say(
                lambda: (speak.set_text("EN" if self.language == "zh" else "中文"), self._name(speak, "language"))
            )
            theme = ui.button(color=None, on_click=lambda: self._switch_theme(theme)).props("flat dense round")
            self._say(lambda: (theme.set_icon(ICONS[self.theme]), self._name(theme, f"theme_{self.theme}")))

    def _name_run(self) -> None:
        """The name of the run; where there are several, a choice, made by the browser's own means."""
        ui.page_title(f"Metier · {self.run.name}")
        if len(self.service.runs) == 1:
            ui.label(self.run.name)
            return
        options = drawing.options(self.service.runs, self.run.name)
        choice = ui.html(options, sanitize=False, tag="select").classes("m-choice").props("autocomplete=off")
        choice.on("change", lambda event: self._switch_run(str(event.args)), js_handler="(e) => emit(e.target.value)")
        self._say(lambda: self._name(choice, "run"))

    def _door(self) -> None:
        """What is shown until a key is given."""

        async def open_door() -> None:
            if not self.service.keys.opens((entry.value or "").strip().encode()):
                await asyncio.sleep(WRONG_KEY_SECONDS)
                self._tell(notice, self.word("key_wrong"))
                return
            self.opened = True
            del self._spoken[self._lasting :]  # the door speaks no more; the header does
            self._main.clear()
            with self._which:
                self._name_run()
            with self._main:
                self._open()

        self._heading("title", "key_lead")
        entry = ui.input(password=True).props("outlined autocomplete=off autofocus").classes("m-field")
        entry.on("keydown.enter", open_door)
        self._say(lambda: self._label(entry, "key"))
        notice = self._notice()
        go = ui.button(color=None, on_click=open_door).props("unelevated no-caps").classes("m-go")
        self._say(lambda: go.set_text(self.word("key_open")))

    def _open(self) -> None:
        self._heading("title", "lead")
        self._text = self._area("text", "autofocus")
        self._pair = self._area("pair", "").classes("m-second")
        self._pair.set_visibility(self.paired)
        with ui.element("div").classes("m-actions"):
            self._go = ui.button(color=None, on_click=self._predict).props("unelevated no-caps").classes("m-go")
            self._say(lambda: self._go.set_text(self.word("predict")))
            more = ui.button(color=None, on_click=self._toggle_pair).props("flat no-caps").classes("m-link")
            self._say(lambda: more.set_text(self.word("drop_pair" if self.paired else "add_pair")))
            ui.label(self.word("shortcut")).classes("m-hint")
        self._told = self._notice()
        self._results = ui.html("", sanitize=False, tag="section").classes("m-results").props("aria-live=polite")
        self._say(lambda: (self._name(self._results, "results"), self._draw()))
        self._about()

    def _about(self) -> None:
        with ui.element("footer").classes("m-about"):
            for name in ("backbone", "created", "version"):
                line = ui.label()
                self._say(lambda line=line, name=name: self._fact(line, name))
            link = ui.link(target="/docs")
            self._say(lambda: link.set_text(self.word("api")))

    def _fact(self, line: ui.label, name: str) -> None:
        value = str(self.run.about.get(name) or "")
        shown = {"created": value[:16].replace("T", " "), "version": value[:12]}.get(name, value)
        line.set_text(f"{self.word(name)} {shown}")
        line.set_visibility(bool(value))

    async def _predict(self) -> None:
        limits, text, pair = self.service.settings.limits, self._text.value or "", self._pair.value or ""
        if not text.strip() or max(len(text), len(pair)) > limits.characters:
            reason = self.word("too_long", n=limits.characters) if text.strip() else self.word("empty")
            self._tell(self._told, reason)
            return
        document, run = Document(text, pair if self.paired and pair.strip() else None, id="0"), self.run
        self._busy(True)
        try:
            self._tell(self._told, "")
            self.answered[run.name] = (document, (await run.predict([document])).predictions[0])
        except Problem:
            self._tell(self._told, self.word("busy"))
        except MetierError as error:
            self._tell(self._told, str(error))
        except Exception:
            logger.exception("the page could not predict")
            self._tell(self._told, self.word("failed"))
        finally:
            self._busy(False)
        self._draw()

    def _draw(self) -> None:
        heads = self.run.heads
        if self.run.name not in self.answered:
            self._results.set_content(drawing.overview(heads, self.language))
            return
        document, found = self.answered[self.run.name]
        cards = [
            drawing.head_card(name, about, found[name], document.text, self.language)
            for name, about in heads.items()
            if name in found
        ]
        self._results.set_content("".join(cards))

    # -- small parts ---------------------------------------------------------------------------------------------
    def word(self, name: str, **values: object) -> str:
        return word(name, self.language, **values)

    def _heading(self, title: str, lead: str) -> None:
        heading = ui.html("", sanitize=False, tag="h1")
        sentence = ui.label().classes("m-lead")
        self._say(lambda: (heading.set_content(self.word(title)), sentence.set_text(self.word(lead))))

    def _area(self, name: str, props: str) -> ui.textarea:
        most = self.service.settings.limits.characters
        area = ui.textarea().props(f"outlined autogrow maxlength={most} {props}").classes("m-field")
        for keys in ("keydown.ctrl.enter", "keydown.meta.enter"):
            area.on(f"{keys}.prevent", self._predict)
        self._say(lambda: self._label(area, name))
        return area

    def _notice(self) -> ui.label:
        notice = ui.label().classes("m-notice").props("role=alert")
        notice.set_visibility(False)
        return notice

    def _say(self, speak: Callable[[], Any]) -> None:
        self._spoken.append(speak)
        speak()

    def _speak(self) -> None:
        for speak in self._spoken:
            speak()

    def _name(self, element: ui.element, name: str) -> None:
        element.props["aria-label"] = element.props["title"] = self.word(name)
        element.update()

    def _label(self, element: ui.element, name: str) -> None:
        element.props["label"] = element.props["aria-label"] = self.word(name)
        element.update()

    def _tell(self, notice: ui.label, text: str) -> None:
        notice.set_text(text)
        notice.set_visibility(bool(text))

    def _busy(self, busy: bool) -> None:
        self._go.props(add="loading" if busy else "", remove="" if busy else "loading")
        self._results.props["aria-busy"] = str(busy).lower()
        self._results.update()

    def _toggle_pair(self) -> None:
        self.paired = not self.paired
        self._pair.set_visibility(self.paired)
        self._speak()

    def _tag(self) -> str:
        return "zh-CN" if self.language == "zh" else "en"

    def _switch_language(self) -> None:
        self.language = "en" if self.language == "zh" else "zh"
        self._speak()
        ui.run_javascript(f"document.documentElement.lang = '{self._tag()}'; {_cookie('language', self.language)}")

    def _switch_run(self, name: str) -> None:
        """What was typed stays; what a run answered is seen again when it is chosen again."""
        self.run = self.service.runs.get(name, self.run)
        self.paired = bool(self.run.about.get("pair")) or bool(self.paired and self._pair.value)
        self._pair.set_visibility(self.paired)
        self._tell(self._told, "")
        self._speak()
        ui.page_title(f"Metier · {self.run.name}")
        ui.run_javascript(
            "const here = new URL(location); "
            f"here.searchParams.set('run', {json.dumps(self.run.name)}); history.replaceState(null, '', here)"
        )

    def _switch_theme(self, button: ui.button) -> None:
        names = list(THEMES)
        self.theme = names[(names.index(self.theme) + 1) % len(names)]
        self._dark.set_value(THEMES[self.theme])
        button.set_icon(ICONS[self.theme])
        self._name(button, f"theme_{self.theme}")
        ui.run_javascript(_cookie("theme", self.theme))


def _cookie(name: str, value: str) -> str:
    return f"document.cookie = 'metier-{name}={value}; path=/; max-age=31536000; samesite=strict'"
