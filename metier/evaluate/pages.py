"""Pages of figures: templates of this package with one style sheet in them, in two languages, without a script."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from metier.evaluate import phrases

if TYPE_CHECKING:
    from jinja2 import Environment


def page(template: str, lang: str, **values: Any) -> str:
    """A filled template as one HTML document. Raises `ValueError` for a language that no page speaks."""
    if lang not in ("en", "zh"):
        raise ValueError(f"pages speak en and zh, not {lang!r}")
    style = (files("metier.evaluate") / "templates" / "report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    # The style sheet is a file of this package; autoescaping would break its selectors.
    return _environment().get_template(template).render(lang=lang, style=Markup(style), digest=digest, **values)


def write(text: str, out: Path) -> Path:
    """Saves a page; a lone surrogate, which a text of a user may hold, has no UTF-8. Returns `out`."""
    out.write_bytes(text.encode("utf-8", errors="replace"))
    return out


def breakable(text: Any) -> Markup:
    """A label that may be broken after its underscores, dots and slashes, so that tables fit a phone."""
    marked = str(escape(str(text)))
    for sign in "_./":
        marked = marked.replace(sign, sign + "<wbr>")
    return Markup(marked)  # escaped above; the signs occur in no entity


def environment(package: str) -> Environment:
    """Templates of a package's folder `templates`: everything is escaped, and a name that is missing is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader(package), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


@cache
def _environment() -> Environment:
    made = environment("metier.evaluate")
    made.globals["t"] = phrases.html
    made.filters["percent"] = lambda value: f"{100 * value:.1f}%"
    made.filters["breakable"] = breakable
    return made
