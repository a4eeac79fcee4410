"""Questions in other words, by rule and seed: shortened, reordered, with typos, with other question words."""

from __future__ import annotations

import random
import re

KINDS = ("shortened", "reordered", "typos", "swapped")
FUNCTION = frozenset(
    ("what", "is", "are", "the", "of", "for", "to", "do", "does", "you", "have", "about", "in", "by", "on", "a", "an",
     "and", "or", "how", "who", "at", "with", "being", "done", "which")
)  # fmt: skip
STEMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"what (?:is \(are\)|is|are) (.+)", ("tell me about {}", "can you explain {} to me", "{} meaning")),
    (r"do you have information about (.+)", ("where can I read about {}", "I would like to learn about {}")),
    (
        r"what are the treatments for (.+)",
        ("how is {} treated", "which therapy is there for {}", "what medicine helps against {}"),
    ),
    (
        r"what are the symptoms of (.+)",
        ("what are the signs of {}", "how do I know if I have {}", "how does {} feel"),
    ),
    (r"how to diagnose (.+)", ("which tests show {}", "how do doctors find {}", "how is {} detected")),
    (
        r"what research \(or clinical trials\) is being done for (.+)",
        ("which studies are there on {}", "can I join a study on {}"),
    ),
    (
        r"what is the outlook for (.+)",
        ("what is the prognosis of {}", "how long do people live with {}", "can people recover from {}"),
    ),
    (r"what causes (.+)", ("why do people get {}", "where does {} come from")),
    (r"who is at risk for (.+)", ("who gets {}", "what raises the chance of {}")),
    (r"what to do for (.+)", ("what can I do about {}", "how should I live with {}")),
    (r"is (.+) inherited", ("does {} run in families", "do parents pass on {}")),
    (r"how to prevent (.+)", ("how can I avoid {}", "how do I protect myself from {}")),
    (r"how many people are affected by (.+)", ("how common is {}", "how often does {} occur")),
    (r"what are the genetic changes related to (.+)", ("which gene is behind {}", "what mutation leads to {}")),
    (r"what are the stages of (.+)", ("which phases does {} have", "how far can {} progress")),
    (r"what are the complications of (.+)", ("what can go wrong with {}", "which problems follow from {}")),
)
"""What people ask instead; the special ones stand behind the general first, so the list is read from its end."""
KEYS = {
    letter: "".join(row[max(at - 1, 0) : at] + row[at + 1 : at + 2])
    for row in ("qwertyuiop", "asdfghjkl", "zxcvbnm")
    for at, letter in enumerate(row)
}


def plain(question: str) -> str:
    """Lower case, one blank between words, no mark at the end: what makes two questions one."""
    return " ".join(re.sub(r"[\s?!.]+$", "", question.lower()).split())


def rewritten(question: str, kind: str, seed: str) -> str | None:
    """A question in other words; None where the rule has nothing to change."""
    draw, asked = random.Random(f"{seed}:{kind}:{question}"), plain(question)
    made = {"shortened": _shortened, "reordered": _reordered, "typos": _typos, "swapped": _swapped}[kind](asked, draw)
    return made if made is not None and made != asked else None


def _shortened(asked: str, draw: random.Random) -> str:
    """Without the words that carry no content; of five or more words left one more, not the first, is missing."""
    words = [word for word in re.sub(r"[()?]", " ", asked).split() if word not in FUNCTION]
    if len(words) >= 5:
        del words[draw.randrange(1, len(words))]
    return " ".join(words) or asked


def _reordered(asked: str, draw: random.Random) -> str:
    """Cut at two places, and the three pieces in another order."""
    words = re.sub(r"[?]", " ", asked).split()
    if len(words) < 3:
        return asked
    first, second = sorted(draw.sample(range(1, len(words)), 2))
    pieces = [words[:first], words[first:second], words[second:]]
    order = draw.choice([(0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
    return " ".join(word for at in order for word in pieces[at])


def _typos(asked: str, draw: random.Random) -> str:
    """One slip in about half of the words of five letters or more, in one at least."""
    words = asked.split()
    long = [at for at, word in enumerate(words) if sum(map(str.isalpha, word)) >= 5]
    if not long:
        return asked
    chosen = [at for at in long if draw.random() < 0.5] or [draw.choice(long)]
    for at in chosen:
        words[at] = _slip(words[at], draw)
    return " ".join(words)


def _slip(word: str, draw: random.Random) -> str:
    """Two letters exchanged, one left out, one twice, or the key beside it; the first letter stays."""
    at = draw.randrange(1, len(word) - 1)
    how = draw.randrange(4)
    if how == 0:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if how == 1:
        return word[:at] + word[at + 1 :]
    if how == 2:
        return word[:at] + word[at] + word[at:]
    return word[:at] + draw.choice(KEYS.get(word[at], word[at])) + word[at + 1 :]


def _swapped(asked: str, draw: random.Random) -> str | None:
    """The same asked with other question words; None for a question of no known form."""
    for stem, others in reversed(STEMS):
        if found := re.fullmatch(stem, asked):
            return draw.choice(others).format(found[1].strip(" ?"))
    return None
