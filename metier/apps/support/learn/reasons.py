"""Why a replay does not let a candidate become knowledge, as people read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WORDS: Mapping[str, Mapping[str, str]] = {
    "own": {
        "en": "Its own question is not answered by it: another entry is surer, or none is sure enough.",
        "zh": "它无法回答自身的问题：其他条目更有把握，或没有条目足够有把握。",
    },
    "frozen": {
        "en": "Frozen questions that lose their right answer: {count}, such as “{question}”.",
        "zh": "失去正确答案的固定问题：{count} 个，例如“{question}”。",
    },
    "right": {
        "en": "Answers that customers called right and that would change: {count}.",
        "zh": "客户认为正确、但将被改变的回答：{count} 个。",
    },
    "traffic": {
        "en": "Of {of} answers of the last weeks {count} would change.",
        "zh": "近几周的 {of} 个回答中，{count} 个将被改变。",
    },
    "reviewer": {"en": "A reviewer refused it.", "zh": "审核人员已拒绝。"},
}


def reason(why: str, **values: Any) -> dict[str, Any]:
    """A reason as JSON has it: which one, with its figures."""
    return {"why": why, **values}


def because(found: Any, language: str) -> str:
    """A reason in words, `en` or `zh`; what somebody wrote in their own words stays as it is."""
    if not isinstance(found, Mapping):
        return str(found)
    words = WORDS.get(str(found.get("why")))
    return str(found) if words is None else words["zh" if language == "zh" else "en"].format_map(found)
