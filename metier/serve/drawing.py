"""Predictions as HTML. Pure functions; whatever a user or a model wrote is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from metier.serve.words import WORDS, word
from metier.types import Span

if TYPE_CHECKING:
    from metier.types import Prediction

SHOWN = 6
"""Bars that are shown at once; the others open with a click."""
HUES = (172, 28, 262, 210, 340, 95, 48, 300)


def head_card(name: str, about: Mapping[str, Any], prediction: Prediction, text: str, language: str) -> str:
    """One head's answer about one text."""
    kind = str(about.get("task", ""))
    if kind in ("tag", "mention"):
        content = spans(text, prediction.label, about.get("labels") or (), language)
    elif kind in ("score", "embed"):
        content = number(prediction.label, kind, language)
    else:
        content = verdict(prediction, kind, language) + bars(prediction, kind, language)
    note = f'<p class="m-abstain">{_said("abstains", language)}</p>' if prediction.abstain else ""
    return (
        f'<article class="m-card" aria-label="{escape(name)}"><header class="m-head"><h2>{escape(name)}</h2>'
        f'<span class="m-quiet">{_task(about, language)}</span></header>'
        f"{note}{content}{measured(about, language)}</article>"
    )


def overview(heads: Mapping[str, Mapping[str, Any]], language: str) -> str:
    """What stands where the answers will be: each head, what it does and how well."""
    rows = "".join(
        f'<li><b>{escape(name)}</b> <span class="m-quiet">{_task(about, language)}</span>'
        f"{measured(about, language)}</li>"
        for name, about in heads.items()
    )
    return f'<article class="m-card"><h2>{_said("heads", language)}</h2><ul class="m-heads">{rows}</ul></article>'


def options(names: Iterable[str], chosen: str) -> str:
    """The options of a choice."""
    return "".join(f"<option{' selected' if name == chosen else ''}>{escape(name)}</option>" for name in names)


def verdict(prediction: Prediction, kind: str, language: str) -> str:
    """The label, in large letters, with its probability."""
    label = prediction.label
    if kind == "multilabel":
        chosen = list(label or ())
        if not chosen:
            return f'<p class="m-verdict m-none">{_said("nothing_applies", language)}</p>'
        return (
            '<p class="m-verdict">'
            + "".join(f'<span class="m-chip">{escape(str(one))}</span>' for one in chosen)
            + "</p>"
        )
    return (
        f'<p class="m-verdict"><span>{escape(str(label))}</span> '
        f'<span class="m-score">{percent(prediction.score)}</span></p>'
    )


def bars(prediction: Prediction, kind: str, language: str) -> str:
    """A bar a label, the likeliest first."""
    ranked = sorted(prediction.probabilities.items(), key=lambda item: -item[1])
    chosen = set(prediction.label or ()) if kind == "multilabel" else {prediction.label}
    rows = [_bar(label, share, label in chosen, kind, language) for label, share in ranked]
    more = len(rows) - SHOWN
    shown = f'<ul class="m-bars">{"".join(rows[:SHOWN])}</ul>'
    if more <= 0:
        return shown if rows else ""
    rest = f'<ul class="m-bars">{"".join(rows[SHOWN:])}</ul>'
    return f'{shown}<details class="m-more"><summary>{_said("more", language, n=more)}</summary>{rest}</details>'


def _bar(label: str, share: float, chosen: bool, kind: str, language: str) -> str:
    share = min(1.0, max(0.0, float(share))) if share == share else 0.0
    mark = (
        f' <span class="m-tick" title="{_said("applies", language)}">&#10003;</span>'
        if chosen and kind == "multilabel"
        else ""
    )
    return (
        f'<li class="m-bar{" m-chosen" if chosen else ""}"><span class="m-label">{escape(label)}{mark}</span>'
        f'<span class="m-value">{percent(share)}</span>'
        f'<span class="m-track" role="meter" aria-label="{escape(label)}" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{share * 100:.0f}"><span style="width:{share * 100:.2f}%"></span></span></li>'
    )


def spans(text: str, found: Sequence[Span], labels: Sequence[str], language: str) -> str:
    """The text with its spans marked; spans that overlap an earlier one are left out of the marking."""
    kinds = list(dict.fromkeys([*labels, *(span.label for span in found)]))
    parts, at = [], 0
    for span in sorted(found, key=lambda one: (one.start, -one.end)):
        if span.start < at or span.end > len(text):
            continue
        hue = HUES[kinds.index(span.label) % len(HUES)]
        parts.append(escape(text[at : span.start]))
        parts.append(
            f'<mark class="m-span" style="--hue:{hue}" title="{escape(span.label)} {percent(span.score)}">'
            f"{escape(text[span.start : span.end])}<small>{escape(span.label)}</small></mark>"
        )
        at = span.end
    parts.append(escape(text[at:]))
    none = "" if found else f'<p class="m-quiet">{_said("nothing_found", language)}</p>'
    return f'<p class="m-text" dir="auto">{"".join(parts)}</p>{none}'


def number(value: Any, kind: str, language: str) -> str:
    """A score, a similarity, or what there is to say of a vector."""
    if isinstance(value, int | float) or not hasattr(value, "__len__"):
        unit = f' <span class="m-quiet">{_said("similarity", language)}</span>' if kind == "embed" else ""
        return f'<p class="m-number">{float(value):.3g}{unit}</p>'
    head = ", ".join(f"{float(item):.3f}" for item in list(value)[:4])
    return f'<p class="m-verdict">{_said("numbers", language, n=len(value))}</p><p class="m-quiet">{head}, &hellip;</p>'


def measured(about: Mapping[str, Any], language: str) -> str:
    """The headline metric of a head on the test split, with its interval."""
    headline = about.get("headline")
    if not isinstance(headline, Mapping) or headline.get("value") is None:
        return ""
    name, value = str(headline.get("name", "")), float(headline["value"])
    known = "metric_" + name.lower().replace("-", "_").replace(" ", "_")
    text = f"{_said(known, language) if known in WORDS else escape(name)} <b>{value:.3f}</b>"
    interval = headline.get("interval")
    if interval:
        text += f" &middot; {_said('interval', language, low=f'{interval[0]:.3f}', high=f'{interval[1]:.3f}')}"
    return f'<footer class="m-measured">{text}</footer>'


def percent(share: float) -> str:
    """`93.1 %`; what is not quite certain never reads as 100."""
    if share != share:
        return "&ndash;"
    return f"{min(share * 100, 99.9) if share < 1 else 100:.1f}&thinsp;%"


def _task(about: Mapping[str, Any], language: str) -> str:
    return _said(f"task_{about.get('task', '')}", language)


def _said(name: str, language: str, **values: object) -> str:
    return escape(word(name, language, **values))
