"""How bad an alert is: points by a stated formula, and why, in words of both languages.

    points = min(4, log2(1 + max(0, observed - expected) / max(expected, 1)))   how many more stories than expected
           + min(2, log2(max over the firing detectors of statistic / threshold))   how far beyond the budget
           + min(2, log2(number of sources))                                        how widely it is told
           + 1 where the topic or the company is on a watchlist

`warning` from 2 points, `critical` from 4, else `info`. The numbers are settings (`Scale`). Each logarithm makes a
point of a doubling, so that no single number decides alone. The formula is ours; no paper is claimed for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Level = Literal["info", "warning", "critical"]
LEVELS: tuple[Level, ...] = ("info", "warning", "critical")
LEVEL_ZH = {"info": "提示", "warning": "警告", "critical": "严重"}


@dataclass(frozen=True, slots=True)
class Scale:
    """The points that each part can give at most, and from how many an alert is more than `info`."""

    excess: float = 4.0
    statistic: float = 2.0
    sources: float = 2.0
    watched: float = 1.0
    warning: float = 2.0
    critical: float = 4.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What severity is computed from.

    Args:
        observed: negative stories since the detectors said so.
        expected: negative stories that were expected in the same ticks.
        share: the largest statistic of a firing detector, divided by its threshold.
        detector: the name of that detector.
        sources: how many sources told the stories.
        watched: whether the topic or the company is on a watchlist.
    """

    observed: int
    expected: float
    share: float = 1.0
    detector: str = ""
    sources: int = 1
    watched: bool = False


@dataclass(frozen=True, slots=True)
class Severity:
    """A level, its points in all, those of each part, and the words for both languages."""

    level: Level
    points: float
    parts: tuple[tuple[str, float], ...]
    en: str
    zh: str


def severity(seen: Measured, scale: Scale | None = None) -> Severity:
    """The severity of what was measured; see the formula above."""
    scale = scale or Scale()
    parts = (
        ("excess", _points(1 + max(0.0, seen.observed - seen.expected) / max(seen.expected, 1.0), scale.excess)),
        ("statistic", _points(seen.share, scale.statistic)),
        ("sources", _points(seen.sources, scale.sources)),
        ("watched", scale.watched if seen.watched else 0.0),
    )
    points = round(sum(value for _, value in parts), 2)
    level: Level = "critical" if points >= scale.critical else "warning" if points >= scale.warning else "info"
    words = [_words(seen, scale, dict(parts), lang) for lang in ("en", "zh")]
    bounds = f"{scale.warning:g}", f"{scale.critical:g}"
    en = f"Severity {level}: {points:.2f} points (warning from {bounds[0]}, critical from {bounds[1]}). {words[0]}"
    zh = f"级别“{LEVEL_ZH[level]}”：{points:.2f} 分（{bounds[0]} 分起为警告，{bounds[1]} 分起为严重）。{words[1]}"
    return Severity(level, points, parts, en, zh)


def strongest(
    statistic: Mapping[str, float], threshold: Mapping[str, float], firing: Sequence[str]
) -> tuple[str, float]:
    """The firing detector that is furthest beyond its threshold, and how many times; `("", 1.0)` where none says."""
    shares = {
        name: statistic[name] / threshold[name]
        for name in firing
        if name in statistic and threshold.get(name, 0.0) > 0 and math.isfinite(statistic[name])
    }
    if not shares:
        return "", 1.0
    name = min(shares, key=lambda key: (-shares[key], key))
    return name, max(1.0, shares[name])


def _points(ratio: float, most: float) -> float:
    """A point for each doubling, `most` at most."""
    return round(min(most, math.log2(max(1.0, ratio))), 2)


def _words(seen: Measured, scale: Scale, parts: Mapping[str, float], lang: str) -> str:
    """What each part rests on, and the points that it gives."""
    if lang == "zh":
        words = [
            f"负面报道 {seen.observed} 篇，预期 {seen.expected:.1f} 篇：{parts['excess']:.2f} 分，"
            f"最多 {scale.excess:g} 分",
            f"检测器 {seen.detector or '–'} 的统计量为阈值的 {seen.share:.2f} 倍：{parts['statistic']:.2f} 分，"
            f"最多 {scale.statistic:g} 分",
            f"来源 {seen.sources} 个：{parts['sources']:.2f} 分，最多 {scale.sources:g} 分",
            f"{'在关注列表中' if seen.watched else '不在关注列表中'}：{parts['watched']:.2f} 分",
        ]
        return "；".join(words) + "。"
    words = [
        f"{seen.observed} negative stories where {seen.expected:.1f} were expected give {parts['excess']:.2f} of "
        f"{scale.excess:g}",
        f"the statistic of {seen.detector or 'no detector'}, {seen.share:.2f} times its threshold, gives "
        f"{parts['statistic']:.2f} of {scale.statistic:g}",
        f"{seen.sources} {'source gives' if seen.sources == 1 else 'sources give'} {parts['sources']:.2f} of "
        f"{scale.sources:g}",
        f"{'being' if seen.watched else 'not being'} on a watchlist gives {parts['watched']:.2f}",
    ]
    return "; ".join(words) + "."
