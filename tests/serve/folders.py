"""Runs of stand-in models that can be loaded, let go and replaced: what a folder is, without one."""

from __future__ import annotations

import threading
import time

from standin import ABOUT, Standin

from metier.errors import RunError
from metier.types import Prediction

MB = 2**20
HEADS = {"said": {"task": "classify", "labels": [], "headline": None}}


class Saying(Standin):
    """A model that says its version of every text."""

    def __init__(self, name, version, pace=0.0, heads=HEADS):
        super().__init__(pace=pace, name=name, version=version, heads=heads)
        self.calls = 0

    def predict(self, documents):
        self.calls += 1
        time.sleep(self.pace * len(documents))
        return [{head: Prediction(self.about["version"], 1.0) for head in self.about["heads"]} for _ in documents]


class Cupboard:
    """As `Folder`: what is in it can be replaced, broken, or taken away. `size`: bytes of its model."""

    def __init__(self, name, version="1", *, size=100 * MB, pace=0.0, heads=HEADS):
        self.name, self.size, self.pace, self.heads = name, size, pace, heads
        self.version, self.broken, self.loads, self.slow = version, False, 0, 0.0
        self.alive = []

    def stamp(self):
        return None if self.version is None else (self.version, self.broken)

    def describe(self):
        if self.version is None:
            raise RunError(f"There is no run /secret/{self.name}.")
        if self.broken == "files":
            raise RunError(f"/secret/{self.name} is damaged.")
        return dict(ABOUT) | {"name": self.name, "version": self.version, "heads": self.heads}

    def weight(self):
        return self.size

    def load(self):
        self.describe()
        time.sleep(self.slow)
        self.loads += 1
        model = (
            Broken(self.name, self.version) if self.broken else Saying(self.name, self.version, self.pace, self.heads)
        )
        model.size = self.size
        HEAP.add(model)
        return model


class Broken(Saying):
    def predict(self, documents):
        raise ZeroDivisionError("the weights are of another network")


class Heap:
    """What the models that are alive take, and the process without any."""

    def __init__(self):
        import weakref

        self.bare, self.most, self.models, self.lock = 50 * MB, 0, weakref.WeakSet(), threading.Lock()

    def add(self, model):
        with self.lock:
            self.models.add(model)
            self.most = max(self.most, self.used())

    def used(self):
        return self.bare + sum(model.size for model in list(self.models))

    def clear(self):
        self.models.clear()
        self.most = 0


HEAP = Heap()
