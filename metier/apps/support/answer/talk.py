"""The first tier: what needs no knowledge. Small talk, commands, a customer who wants a person, words of anger.

The rules look at whole messages alone: "hello, where is my card" is a question. A command is a message of a button,
such as `/person`; nothing within a longer text is one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Literal

from metier.data.languages import language

Kind = Literal["greeting", "thanks", "farewell", "bot", "help", "abuse", "empty", "person", "none"]
COMMANDS: Mapping[str, Kind] = {"/person": "person", "/help": "help", "/none": "none", "/start": "greeting"}
_RULES: Mapping[Kind, Sequence[str]] = {
    "greeting": (
        r"(hi|hello|hey|hiya|good (morning|afternoon|evening|day)|greetings)( there| all| team)?",
        r"(你好|您好|嗨|哈喽|在吗|有人吗|早上好|下午好|晚上好)(呀|啊|哦)?",
    ),
    "thanks": (
        r"(ok(ay)? |great |perfect )?(many )?(thanks?( you)?|thx|ty|cheers)( a lot| so much| very much)?",
        r"(thanks?( you)?|thx) for .{1,30}",
        r"(好的?|明白了?|知道了)?(非常|十分)?(谢谢|感谢|多谢)(你|您|啦|了)?",
    ),
    "farewell": (
        r"(good ?bye|bye( bye)?|see you( later| soon)?|have a (nice|good) (day|evening|weekend))",
        r"再见|拜拜|下次见",
    ),
    "bot": (
        r"(are you|am i (talking|speaking|chatting) (to|with)) (a |an )?(real )?(bot|robot|machine|human|person|ai)",
        r"who are you|你是(谁|机器人|人工|真人)(吗|吧)?",
    ),
    "help": (r"help|what can (you|i) (do|ask)( here)?|how does this work|帮助|你能做什么|怎么用",),
    "person": (
        r"((please|can|could|may|i|you|want|need|would|like) ){0,5}(to )?"
        r"((talk|speak|chat|connect|transfer|get|put|give)( me)?( through)?( to| with)? )?(a |an |the |some )?"
        r"(human( being)?|(real )?person|agent|representative|operator|(someone|somebody) real|customer service)"
        r"( please)?",
        r"(请|我要|我想|帮我|给我){0,3}(转|转接|找|接|联系|要)?(到)?(人工|客服|真人)(客服|服务|坐席)?",
    ),
    "abuse": (
        r"(you( a)?re |are )?(so |a |an |such (a |an )?|this (bot|thing) is )?"
        r"(useless|stupid|idiot|rubbish|crap|shit|moron|dumb)( bot| thing| machine)?|f+u+c*k+( you| off| this)?",
        r"(你)?(真|太)?(垃圾|废物|傻[逼瓜]|滚|白痴|没用)(机器人|东西)?",
    ),
}
_compiled = [(kind, re.compile("|".join(f"(?:{rule})" for rule in rules))) for kind, rules in _RULES.items()]
_EDGES = re.compile(r"^[\s\W_]+|[\s\W_]+$")
LONGEST = 60
"""Characters of small talk: longer messages ask something."""


def talk_of(text: str) -> Kind | None:
    """What a whole message is, where it is small talk or a command."""
    plain = unicodedata.normalize("NFKC", text).strip().lower()
    if plain in COMMANDS:
        return COMMANDS[plain]
    if len(plain) > LONGEST:
        return None
    words = re.sub(r"[\s,，。.!！?？~～、']+", " ", _EDGES.sub("", plain))
    if not words:
        return None if plain and any(one in "?？" for one in plain) and len(plain) > 3 else "empty"
    return next((kind for kind, rule in _compiled if rule.fullmatch(words)), None)


def language_told(text: str, known: str = "") -> str:
    """`en` or `zh`: of the text, where it has letters that tell; else the one that is known; else English."""
    if text.startswith("/"):
        return known or "en"
    han = sum("\u3400" <= one <= "\u9fff" for one in text)
    letters = sum(one.isalpha() for one in text)
    if han * 5 >= letters and han:  # "我的 iPhone 订单"
        return "zh"
    return "en" if letters > 3 or language(text) == "en" else known or "en"
