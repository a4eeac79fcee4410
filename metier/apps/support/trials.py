"""The knowledge asks itself: every question in other words, with its answer there and with it taken away."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from random import Random

from metier.apps.support.answer.known import AT, Encode, Intent, Known, texts_of
from metier.apps.support.answer.papers import Papers
from metier.apps.support.answer.sure import Trial
from metier.data.augment.noise import noisy
from metier.data.sentences import sentences
from metier.search.words import cutter
from metier.store.knowledge import StoredEntry

MOST = 1_500
"""Questions that are asked of large knowledge: a draw."""
LETTERS = 0.06
"""Of the letters of a question that stands alone, the share that is mistyped."""
LOST = 0.2
"""Of its words, the share that is lost."""
LOST_OF_SENTENCES = 0.5
"""Of the words of a sentence: a question shares few words with what answers it. With as few lost as of a question, the
bot left most questions of PubMedQA and CMRC 2018 unanswered that it had found the answer to."""
NEAR = 0.5
"""The share of questions that are asked nearly as they stand, where they stand beside others."""
Understand = Callable[[str], Intent]


Asked = tuple[StoredEntry, int, str]
"""A question that is asked: its entry, its number there, its words."""


def asked(entries: Sequence[StoredEntry], held_out: Collection[str] = (), seed: int = 13) -> list[Asked]:
    """The questions that are asked: of all, or of those that no fit has seen, as many as are needed."""
    found = [
        (entry, at, text.text)
        for entry in entries
        if entry.active
        for at, text in enumerate(texts_of(entry))
        if not held_out or text.text in held_out
    ]
    return found if len(found) <= MOST else Random(seed).sample(found, MOST)


def of_entries(
    known: Known, chosen: Sequence[Asked], encode: Encode, understand: Understand, tick: Callable[[int], None],
    seed: int = 13,
) -> list[Trial]:  # fmt: skip
    """The trials of questions.

    Of those that stand beside others of their entry, one half is asked as it is and does not find itself: customers who
    use words that nobody thought of. The other half, and those that stand alone, are asked with words lost and letters
    mistyped: customers who nearly say what is known. Each is asked once more without any question of its entry.
    """
    random = Random(seed)
    found: list[Trial] = []
    for entry, at, question in chosen:
        own = [text.id for text in texts_of(entry)]
        near = random.random() < NEAR or len(own) == 1
        text = reworded(question, random) if near else question
        intent, vector = understand(text), encode([text])[0]
        matches = known.find(text, intent, vector=vector, without=() if near else (f"{entry.id}{AT}{at}",))
        right = next((place for place, match in enumerate(matches) if match.entry.id == entry.id), None)
        found.append(Trial([match.features for match in matches], right, entry.id))
        others = known.find(text, intent, vector=vector, without=own)
        nothing = [match.features for match in others if match.entry.answer != entry.answer]
        found.append(Trial(nothing, None, entry.id, known=False))
        tick(1)
    return found


def of_strangers(known: Known, questions: Sequence[str], encode: Encode, understand: Understand) -> list[Trial]:
    """The trials of questions that nobody here answers: whatever is found for them is wrong."""
    found = []
    for text in questions:
        matches = known.find(text, understand(text), vector=encode([text])[0])
        found.append(Trial([match.features for match in matches], None, text, known=False))
    return found


def of_papers(papers: Papers, encode: Encode, tick: Callable[[int], None], seed: int = 13) -> list[Trial]:
    """The trials of documents: a sentence of a passage is asked for in other words, with the passage there and not."""
    random = Random(seed)
    passages = list(papers.passages.values())
    chosen = passages if len(passages) <= MOST // 3 else random.sample(passages, MOST // 3)
    found: list[Trial] = []
    for passage in chosen:
        question = reworded(random.choice(sentences(passage.text) or [passage.text]), random, LOST_OF_SENTENCES)
        vector = encode([question])[0]
        for without in ((), (passage.id,)):
            quotes = papers.find(question, vector=vector, without=without)
            best = [at for at, quote in enumerate(quotes) if quote.passage.id == passage.id]
            rows = [quote.features for quote in quotes]
            found.append(Trial(rows, best[0] if best else None, passage.id, known=not without))
        tick(1)
    return found


def reworded(question: str, random: Random, lost: float = LOST) -> str:
    """A question as somebody else may type it: a share of its words lost, two turned round, letters mistyped."""
    between = " " if " " in question.strip() else ""
    words = question.split() if between else cutter().lcut(question, HMM=False)
    if len(words) > 3:
        kept = [word for word in words if random.random() >= lost] or words
        at = random.randrange(len(kept))
        kept[at : at + 2] = reversed(kept[at : at + 2])
        question = between.join(kept)
    return noisy(question, LETTERS, random.randrange(1 << 30))
