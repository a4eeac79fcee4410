"""How long a batch will take, and how many texts come right after one: learned from those that were."""

from __future__ import annotations

FORGET = 0.95
"""What a batch weighs after one more: about twenty count."""
SWEEPS = 20
HUNDRED = 100.0
SURPRISE = 4.0
"""A batch counts for no more than so many times what was foretold: a machine that stumbled once is not slow."""
LATELY = 0.2
"""What the last batch weighs in what is expected after one."""
SECONDS_A_TEXT = 0.01
"""What is taken for the pace of a model that has answered nobody yet."""


class Pace:
    """What a batch costs: seconds a text, a hundred characters and a batch.

    Least squares over the last batches, older ones weighing less, with no negative part: by coordinate descent, which
    from one batch alone blames the texts. A model's first call prepares much that later ones find ready; it is
    forgotten once there is another.
    """

    def __init__(self) -> None:
        self._batches = 0
        self._forget()

    def _forget(self) -> None:
        self._moments = [[0.0] * 3 for _ in range(3)]
        self._sums = [0.0] * 3
        self._parts = [0.0] * 3

    @property
    def known(self) -> bool:
        return self._batches > 0

    @property
    def fixed(self) -> float:
        """Seconds of a batch, however few its texts are."""
        return self._parts[2]

    def seconds(self, texts: int, characters: int, batches: int = 1) -> float:
        """What so many texts in so many batches are foretold to take."""
        if not self.known:
            return SECONDS_A_TEXT * texts
        each, hundred, fixed = self._parts
        return each * texts + hundred * characters / HUNDRED + fixed * batches

    def fits(self, seconds: float, characters: float) -> int:
        """Texts of a batch that takes so long, each with so many characters; one, where nothing is known."""
        if not self.known:
            return 1
        each, hundred, fixed = self._parts
        return max(1, int((seconds - fixed) / max(each + hundred * characters / HUNDRED, 1e-9)))

    def observe(self, texts: int, characters: int, seconds: float) -> None:
        """Learns from a batch."""
        if self._batches == 1:
            self._forget()
        elif self._batches > 1:
            seconds = min(seconds, SURPRISE * self.seconds(texts, characters) + 1e-4)
        self._batches += 1
        row = (float(texts), characters / HUNDRED, 1.0)
        for i, one in enumerate(row):
            self._sums[i] = FORGET * self._sums[i] + one * seconds
            for j, other in enumerate(row):
                self._moments[i][j] = FORGET * self._moments[i][j] + one * other
        self._solve()

    def _solve(self) -> None:
        parts, moments = self._parts, self._moments
        for _ in range(SWEEPS):
            for i in range(3):
                rest = self._sums[i] - sum(moments[i][j] * parts[j] for j in range(3) if j != i)
                parts[i] = max(0.0, rest / moments[i][i]) if moments[i][i] > 0 else 0.0


class Returns:
    """How many texts come right after a batch: under load, of clients that were just answered and ask again."""

    def __init__(self) -> None:
        self._expected = 0.0
        self._came = 0
        self._ended = float("-inf")
        self.count = 0
        """Requests that came."""

    def ended(self, now: float) -> None:
        """A batch is over."""
        self._expected += LATELY * (self._came - self._expected)
        self._came, self._ended = 0, now

    def came(self, texts: int, now: float, soon: float) -> None:
        """Some texts came; they count if a batch ended less than `soon` seconds ago."""
        self.count += 1
        if self.since(now) <= soon:
            self._came += texts

    def since(self, now: float) -> float:
        """Seconds since a batch ended."""
        return now - self._ended

    @property
    def due(self) -> float:
        """Texts that are still to come, if it is as it was lately."""
        return self._expected - self._came
