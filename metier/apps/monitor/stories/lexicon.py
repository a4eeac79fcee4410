"""Words of headlines: what a wire and a web site hang on them, opposites, numbers, units; English and Chinese."""

from __future__ import annotations

import re

FREQUENT, NUMBER, POLE = KINDS = "~#+"
"""The first sign of a token that is a word such as `the`, a number or period, or one of two opposites."""
WIRE = re.compile(
    r"""^[\s*>]*(?:
    (?:update|wrapup|refile|rpt|repeat|corrected|correction|brief|exclusive|breaking(?:\ news)?|analysis|factbox
       |insight|alert|flash|just\ in|watch|live|urgent|text|timeline|advisory|recast|new)
    (?:\s*\d+)?\s*(?:[-\u2010-\u2015:|\uff1a]+\s*|(?<=\d)\s+)
    |\((?:adds?|updates?|recasts?|corrects?|refiles?|repeats?|writes?through)\b[^)]{0,120}\)\s*
    |[a-z][a-z\ .,/]{1,40}\((?:reuters|ap|afp|bloomberg|dow\ jones|xinhua)\)\s*[-\u2010-\u2015:]+\s*
    |[\[\u3010(]?(?:快讯|突发|最新|更新|独家|重磅|图文|组图|滚动|速递|简讯|快报|要闻)(?:消息)?[\])\u3011:|\uff1a]+\s*
    |(?:[^\s\d,.\u3002\uff0c]{2,8})?\d{1,2}月\d{1,2}日(?:电|讯|消息)[,:|\uff0c\uff1a\s]*
    )+""",
    re.IGNORECASE | re.VERBOSE,
)
_SOURCES = (
    r"(?:thomson )?reuters|bloomberg(?: news)?|cnbc|ap(?: news)?|associated press|afp|dow jones(?: newswires)?|wsj"
    r"|(?:the )?wall street journal|ft(?:\.com)?|financial times|(?:the )?guardian|bbc(?: news)?|cnn(?: business)?"
    r"|market ?watch|yahoo(?: finance)?|forbes|barron's|business insider|(?:the )?new york times|nyt|fox business"
    r"|xinhua"
    r"|(?:the )?economic times|moneycontrol|livemint|business standard|seeking alpha|nikkei|sky news|(?:the )?telegraph"
    r"|(?:the )?times|(?:the )?independent|usa today|zerohedge|benzinga|pr newswire|business wire|globe ?newswire"
    r"|新浪财经|新浪网?|东方财富(?:网)?|财联社|新华社|新华网|人民网|路透社?|彭博社?|澎湃(?:新闻)?|第一财经|证券时报(?:网)?"
    r"|中国证券报|上海证券报|证券日报|每日经济新闻|华尔街见闻|界面新闻?|财新网?|和讯网?|腾讯(?:网|财经|新闻)|网易财经|搜狐(?:网|财经)?"
    r"|凤凰(?:网|财经)|央视(?:新闻|网)|同花顺|格隆汇|智通财经|金融界|21世纪经济报道|经济观察报|北京商报|中新网|中国新闻网"
    r"|[\w-]+\.(?:com|net|org|cn|co\.uk|com\.cn)"
)
SOURCE = re.compile(
    rf"\s?(?:[-\u2010-\u2015|_]{{1,3}}\s?(?:{_SOURCES})|[(\[](?:来源[:\uff1a]?\s*)?(?:{_SOURCES})[)\]]"
    rf"|(?:,\s*)?(?:via|source:|来源[:\uff1a])\s*(?:{_SOURCES}))[\s.]*$",
    re.IGNORECASE,
)
_COMMON = (
    "a an the and or but of to in on at by for from with as is are was were be been has have had will would it"
    " its this that than then so if into over after before about says said say amid who what how why when"
    " their his her they he she we our you your i not"
)
COMMON_WORDS = frozenset(_COMMON.split())
_UP, _DOWN = "+up", "+down"
_POLES = {
    _UP: "up rise rose risen rising gain climb climbed climbing jump surge soar rally rallied higher increase advance"
    " advanced grow grew grown growing upgrade beat raise hike top",
    _DOWN: "down fall fell fallen falling drop dropped dropping slump slide slid tumble plunge sink sank lower decrease"
    " decline declined shrink shrank downgrade miss cut slash lag",
    "+buy": "buy bought buying purchase acquire",
    "+sell": "sell sold selling divest",
    "+profit": "profit profitable",
    "+loss": "loss losse",
    "+bull": "bull bullish",
    "+bear": "bear bearish",
    "+win": "win won winning",
    "+lose": "lose lost losing",
    "+strong": "strong stronger strength",
    "+weak": "weak weaker weakness",
    "+first": "open opened opening",
    "+last": "close closed closing",
}
POLES = {word: pole for pole, words in _POLES.items() for word in words.split()}
HAN_POLES = {
    "涨": _UP, "升": _UP, "增": _UP, "扬": _UP, "跌": _DOWN, "降": _DOWN, "减": _DOWN, "挫": _DOWN,
    "买": "+buy", "购": "+buy", "卖": "+sell", "售": "+sell", "盈": "+profit", "亏": "+loss",
    "多": "+bull", "空": "+bear",
    "强": "+strong", "弱": "+weak", "胜": "+win", "赢": "+win", "输": "+lose", "败": "+lose",
    "入": "+in", "出": "+out", "开": "+first", "收": "+last",
}  # fmt: skip
NUMBER_WORDS = {
    word: number
    for number, words in {
        "0": "zero", "2": "two second", "3": "three third", "4": "four fourth", "5": "five fifth", "6": "six sixth",
        "7": "seven seventh", "8": "eight eighth", "9": "nine ninth", "10": "ten tenth", "1st": "first",
        "m1": "january jan", "m2": "february feb", "m3": "march", "m4": "april apr", "m6": "june", "m7": "july",
        "m8": "august aug", "m9": "september sept sep", "m10": "october oct", "m11": "november nov",
        "m12": "december dec", "d1": "monday", "d2": "tuesday", "d3": "wednesday", "d4": "thursday", "d5": "friday",
        "d6": "saturday", "d7": "sunday",
    }.items()
    for word in words.split()
}  # fmt: skip
UNITS = {
    "m": "million", "mn": "million", "mln": "million", "bn": "billion", "bln": "billion", "b": "billion",
    "tn": "trillion", "trn": "trillion", "k": "thousand", "pct": "%", "percent": "%", "pc": "%",
}  # fmt: skip
HAN_NUMBER = re.compile(
    r"[一二三四五六七八九十百千两]+(?=[季月年日号成倍个家人周届期次])|[周星期礼拜]+[一二三四五六日天]|[上下]半年|[今去前明]年|[昨今明]日"
)
