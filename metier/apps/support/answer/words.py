"""What the bot says in its own words, in English and Chinese; `say` fills them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PHRASES: Mapping[str, Mapping[str, str]] = {
    "greeting": {"en": "Hello! What can I do for you?", "zh": "您好！请问有什么可以帮您？"},
    "thanks": {"en": "You are welcome. Is there anything else?", "zh": "不客气。还有其他问题吗？"},
    "farewell": {"en": "Goodbye, and thank you for writing.", "zh": "再见，感谢您的来信。"},
    "bot": {
        "en": "I am a program and answer from what this company has written down. A person can take over any time.",
        "zh": "我是一个自动应答程序，根据本公司的资料回答问题。您随时可以转接人工。",
    },
    "help": {
        "en": "Ask in your own words, one thing at a time. You can also ask for a person.",
        "zh": "请用您自己的话提问，一次一个问题。您也可以要求转接人工。",
    },
    "abuse": {
        "en": "I am sorry that this is annoying. Shall a person take over?",
        "zh": "很抱歉给您带来不便。需要转接人工吗？",
    },
    "empty": {
        "en": "Your message has no words. What would you like to know?",
        "zh": "您的消息没有文字。请问您想了解什么？",
    },
    "unknown": {
        "en": "I do not know the answer to that. Shall a person take over?",
        "zh": "这个问题我无法回答。需要转接人工吗？",
    },
    "same": {"en": "About that I can only tell you the same:", "zh": "关于这一点，我能提供的信息与刚才相同："},
    "clarify": {"en": "Which of these do you mean?", "zh": "您是想问以下哪一个？"},
    "clarify_one": {"en": "Do you mean this?", "zh": "您是想问这个吗？"},
    "none": {"en": "None of these", "zh": "都不是"},
    "person": {"en": "Talk to a person", "zh": "转接人工"},
    "ask_slot": {"en": "Please tell me the {slot}.", "zh": "请告诉我{slot}。"},
    "ask_again": {
        "en": "That does not look like a {slot}. Please tell me it again, or ask something else.",
        "zh": "这似乎不是{slot}。请再告诉我一次，或者问其他问题。",
    },
    "queued": {
        "en": "A person will answer here. You are number {position} in the queue.",
        "zh": "稍后会有人工在此回复您。您排在第{position}位。",
    },
    "closed": {
        "en": "Nobody is there now. Your conversation is kept, and a person will answer here from {opens}.",
        "zh": "现在没有人工在线。您的对话已保留，人工将从{opens}起在此回复您。",
    },
    "closed_long": {
        "en": "Nobody is there now. Your conversation is kept, and a person will answer here.",
        "zh": "现在没有人工在线。您的对话已保留，人工将在此回复您。",
    },
    "joined": {"en": "{name} has joined.", "zh": "{name}已接入。"},
    "requeued": {
        "en": "The connection to {name} was lost. You are first in line for the next person.",
        "zh": "与{name}的连接中断。您将优先由下一位人工接待。",
    },
    "handed_back": {"en": "The bot answers again.", "zh": "现在由自动应答继续为您服务。"},
    "resolved": {
        "en": "This conversation is closed. Write again at any time.",
        "zh": "本次对话已结束。您可随时再次留言。",
    },
}
SLOT_NAMES: Mapping[str, Mapping[str, str]] = {
    "order": {"en": "order number", "zh": "订单号"},
    "date": {"en": "date", "zh": "日期"},
    "amount": {"en": "amount", "zh": "金额"},
    "currency": {"en": "currency", "zh": "币种"},
    "email": {"en": "e-mail address", "zh": "电子邮箱"},
    "phone": {"en": "telephone number", "zh": "电话号码"},
    "card": {"en": "card number", "zh": "卡号"},
}


def say(what: str, language: str, own: Mapping[Any, str] | None = None, **values: object) -> str:
    """A phrase in a language; `own` words of the company come first, in whatever language they are in."""
    if own:
        return own.get(language) or next(iter(own.values()))
    return PHRASES[what]["zh" if language == "zh" else "en"].format(**values)


def slot_name(name: str, language: str) -> str:
    """How a slot is called when it is asked for."""
    return SLOT_NAMES.get(name, {}).get(language, name.replace("_", " "))
