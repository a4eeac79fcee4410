"""Tables of the documentation, each drawn from one result. A page holds them between marks of the result's name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


def percent(value: float | None) -> str:
    """`93.5 %`, a dash for nothing."""
    return "-" if value is None else f"{100 * value:.1f} %"


def rows(title: str, *lines: Iterable[str]) -> str:
    """A Markdown table: titles divided by bars, then lines of cells."""
    names = [name.strip() for name in title.split("|")]
    return "\n".join("| " + " | ".join(line) + " |" for line in (names, ["---"] * len(names), *lines))


def few_shot(result: dict[str, Any]) -> str:
    """Few labels: the contrastive method beside the probe, and a full fit where one was made."""

    def line(key: str, found: dict[str, Any]) -> Iterable[str]:
        yield key.replace("-", ", ")
        for method in ("contrastive", "probe", "full"):
            one = found.get(method)
            yield f"{100 * one['mean']:.1f} ± {100 * (one['sd'] or 0):.1f} %" if one else ""
        yield percent(found["bar"])

    title = "data, texts a class | `contrastive` | `probe` | `full` | bar"
    return rows(title, *(line(key, found) for key, found in result["results"].items()))


def setfit(result: dict[str, Any]) -> str:
    """`contrastive` and the setfit package."""
    lines = (
        (
            name.replace("-", ", "),
            str(one["seeds"]),
            percent(one["ours"]),
            percent(one["theirs"]),
            f"{one['points']:+.1f}",
            f"{one['speed']:.1f} ×",
        )
        for name, one in result["cases"].items()
    )
    return rows("data, texts a class | seeds | `contrastive` | `setfit` | points | times faster", *lines)


def lora(result: dict[str, Any]) -> str:
    """LoRA and a full fit."""
    lines = [
        (name, percent(one["full"]), percent(one["lora"]), f"{one['points']:+.1f}", f"{100 * one['trained']:.1f} %")
        for name, one in result["tasks"].items()
    ]
    return rows("data | `full` | `lora` | points | weights trained", *lines)


def ablation(result: dict[str, Any]) -> str:
    """Each switch beside a plain full fit: points gained with their 95 % interval, and how much longer it takes."""
    sources = list(next(iter(result["results"].values())))

    def cell(one: dict[str, Any]) -> str:
        half = one["half"]
        sure = half is not None and abs(one["points"]) > half
        points = f"{one['points']:+.1f} ± {half:.1f}" if half is not None else f"{one['points']:+.1f}"
        return f"**{points}**" if sure else points

    plain = result["results"]["full"]
    lines = [["(plain `full`)", *(percent(plain[name]["mean"]) for name in sources), "1.0 ×"]]
    for switch, found in result["results"].items():
        if switch != "full":
            times = max(one["times"] for one in found.values())
            lines.append([f"`{switch}`", *(cell(found[name]) for name in sources), f"{times:.1f} ×"])
    return rows(" | ".join(["switch", *sources, "time"]), *lines)


def robustness(result: dict[str, Any]) -> str:
    """Both recipes on texts as they are and on spoiled ones."""
    lines = [
        [f"{name}, {recipe}", *(percent(one[kind]) for kind in ("clean", "letters", "words", "drop"))]
        for name, each in result["results"].items()
        for recipe, one in each.items()
    ]
    return rows("data, recipe | clean | letters misread | words replaced | mean drop", *lines)


def race(result: dict[str, Any]) -> str:
    """What the race picked, how far it is below the best of all methods, and the share of their time that it took."""
    lines = [
        (name, str(one["seed"]), f"`{one['best']}` {percent(one['best_test'])}",
         f"`{one['pick']}` {percent(one['pick_test'])}", f"{0.0 - round(one['below_best'], 1):+.1f}",
         f"{100 * one['share_of_time']:.0f} %")
        for name, entries in result["sources"].items()
        for one in entries
    ]  # fmt: skip
    return rows("data | seed | best of all methods | pick of the race | points | share of their time", *lines)


SECTIONS: dict[str, Callable[[dict[str, Any]], str]] = {
    draw.__name__: draw for draw in (few_shot, setfit, lora, ablation, robustness, race)
}
"""By the name of the result."""
