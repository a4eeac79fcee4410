"""Words left out: the random deletion of EDA (Wei & Zou 2019)."""

from __future__ import annotations

from random import Random

from metier.data.augment.edits import Edit
from metier.data.augment.passages import Passage
from metier.data.augment.sources import Sources


def deletions(passage: Passage, rate: float, rng: Random, sources: Sources) -> list[Edit]:
    """Every word left out with probability `rate`, with the blank behind it; at least one goes, and one stays."""
    places = passage.movable()
    if not places or len(passage.words) < 2:
        return []
    gone = [place for place in places if rng.random() < rate] or [rng.choice(places)]
    if len(gone) == len(passage.words):
        gone.remove(rng.choice(gone))
    behind = [end not in passage.walls and passage.text[end : end + 1] == " " for _, end in gone]
    return [Edit(start, end + blank, "") for (start, end), blank in zip(gone, behind, strict=True)]
