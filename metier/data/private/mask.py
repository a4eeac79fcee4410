"""Finds private data in a text and puts tokens in its place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial

from metier.data.private.addresses import addresses, emails
from metier.data.private.cues import Cues, cues_of
from metier.data.private.found import TOKEN, Found, Masked, Rules
from metier.data.private.numbers import Span, checked, ibans, insurance_numbers, passports
from metier.data.private.phones import Phones
from metier.data.private.runs import Run, runs_of, undated
from metier.data.private.view import covered, view_of

ROUNDS = 8
"""What was found parts what stood beside it: a text is searched until nothing more is found, at most so often."""
KEY = 5
"""Characters by which a value that stands there again is looked up."""
_worth_it = re.compile(r"[\d@\uff20]|[(\[{<] ?(?:at|艾特) ?[)\]}>]", re.IGNORECASE)
RULES = Rules()


def find(text: str, languages: Sequence[str] | None = None, rules: Rules = RULES) -> tuple[Found, ...]:
    """The private data in a text, in its order, without overlaps.

    Args:
        text: of any length; the time grows with it and no faster.
        languages: in which it may be written, where that is known: without `zh` no Chinese identity and telephone
            numbers are looked for, with `zh` alone no others. `None`: both.
        rules: what is looked for.
    """
    if not _worth_it.search(text):
        return ()
    rules = _spoken(rules, languages)
    view = view_of(text)
    rest = covered(view.text, (match.span() for match in TOKEN.finditer(view.text)))
    spans: list[Span] = []
    for _ in range(ROUNDS):
        fresh = _round(rest, rules)
        if not fresh:
            break
        rest = covered(rest, ((start, end) for start, end, _, _ in fresh))
        again = _echoes(rest, view.text, fresh)
        rest = covered(rest, ((start, end) for start, end, _, _ in again))
        spans += [*fresh, *again]
        if not _worth_it.search(rest):
            break
    return tuple(Found(*view.original(start, end), kind, value) for start, end, kind, value in sorted(spans))


def mask(text: str, languages: Sequence[str] | None = None, rules: Rules = RULES) -> Masked:
    """A text with tokens in place of its private data; see `find`.

    The first value of a kind is `[card]`, the next other one `[card 2]`; equal values have equal tokens, and tokens
    that the text holds already are not given again. What was masked stands nowhere in the masked text, and masking
    that changes nothing.
    """
    found = find(text, languages, rules)
    if not found:
        return Masked(text, (), (), ())
    taken = set(TOKEN.findall(text))
    tokens: dict[tuple[str, str], str] = {}
    counts: dict[str, int] = {}
    pieces, at = [], 0
    for one in found:
        key = (one.kind, one.value_normalised)
        if key not in tokens:
            tokens[key] = _token(one.kind, counts, taken)
        pieces += [text[at : one.start], tokens[key]]
        at = one.end
    return Masked(
        "".join([*pieces, text[at:]]),
        found,
        tuple(tokens[one.kind, one.value_normalised] for one in found),
        tuple(text[one.start : one.end] for one in found),
    )


def _token(kind: str, counts: dict[str, int], taken: set[str]) -> str:
    while True:
        counts[kind] = count = counts.get(kind, 0) + 1
        token = f"[{kind}]" if count == 1 else f"[{kind} {count}]"
        if token not in taken:
            return token


def _spoken(rules: Rules, languages: Sequence[str] | None) -> Rules:
    if languages is None:
        return rules
    chinese, others = "zh" in languages, any(language != "zh" for language in languages)
    kept = tuple(region for region in rules.regions if (chinese if region == "CN" else others))
    return Rules(rules.kinds, kept)


def _round(text: str, rules: Rules) -> list[Span]:
    """What one search of a text finds, sorted. Kinds that are sure come first and hide what they hold."""
    found: list[Span] = []
    cues = cues_of(text)
    for search in (emails, ibans, partial(addresses, cues=cues), partial(insurance_numbers, cues=cues),
                   partial(passports, cues=cues)):  # fmt: skip
        fresh = _apart(span for span in search(text) if span[2] in rules.kinds)
        text = covered(text, ((start, end) for start, end, _, _ in fresh))
        found += fresh
    phones = Phones(cues, rules.regions)
    for run in runs_of(text):
        found += (span for span in _numbers(run, cues, phones) if span[2] in rules.kinds)
    return sorted(found)


def _apart(spans: Iterator[Span]) -> list[Span]:
    """Spans in their order, without those that reach into the one before."""
    found: list[Span] = []
    for span in sorted(spans):
        if not found or span[0] >= found[-1][1]:
            found.append(span)
    return found


def _numbers(run: Run, cues: Cues, phones: Phones) -> Iterator[Span]:
    """Of a run first what a checksum speaks for, then accounts and telephones among what is left."""
    for part in undated(run) if cues.before(run.groups[0][0])[0] != "account" else [run]:
        at = 0
        sure = list(checked(part, cues))
        for first, last, span in [*sure, (len(part.groups), 0, None)]:
            if first > at:
                yield from _rest(part.part(at, first), cues, phones)
            if span:
                yield span
            at = last


def _rest(run: Run, cues: Cues, phones: Phones) -> Iterator[Span]:
    start = run.groups[0][0]
    label, glued = cues.before(start)
    last = _account(run) if not run.coded else 0
    end = run.groups[last - 1][1] if last else start
    if last and ((label == "account" and glued) or (not label and cues.after(end) == "account")):
        yield start, end, "account", run.digits(0, last)
        run = run.part(last, len(run.groups))
    if run.groups:
        yield from (span for _, _, span in phones.of(run))


def _account(run: Run) -> int:
    """Behind which group an account number that begins a run ends: 6 to 20 digits, in groups of two to four or none."""
    first, size, last = run.groups[0], 0, 0
    if first[1] - first[0] >= 6:
        return 1 if first[1] - first[0] <= 20 else 0
    for last, (start, end) in enumerate(run.groups):
        if size + end - start > 20 or (last and run.text[run.groups[last - 1][1] : start] not in (" ", "-")):
            return last if size >= 6 else 0
        size += end - start
    return last + 1 if size >= 6 else 0


def _echoes(rest: str, text: str, spans: Sequence[Span]) -> list[Span]:
    """Where what was found stands once more, though nothing there says what it is."""
    known: dict[str, dict[str, Span]] = {}
    for span in spans:
        value = text[span[0] : span[1]]
        known.setdefault(value[:KEY], {})[value] = span
    found: list[Span] = []
    pattern = "|".join(map(re.escape, sorted(known))) if len(known) <= 50 else ""
    places = [match.start() for match in re.finditer(f"(?={pattern})", rest)] if pattern else range(len(rest))
    at = 0
    for place in places:
        if place >= at and (written := known.get(rest[place : place + KEY])):
            for value in sorted(written, key=len, reverse=True)[:100]:
                if rest.startswith(value, place):
                    at = place + len(value)
                    found.append((place, at, written[value][2], written[value][3]))
                    break
    return found
