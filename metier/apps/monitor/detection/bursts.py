"""The two-state burst automaton (Kleinberg 2002), online, on counts against a baseline, for many series at once.

State 0 has the rate of the baseline, state 1 `RATIO` times as much; going up costs `gamma`, going down nothing; the
cost of a state in a tick is minus the log-likelihood of its count. Of the forward pass (Viterbi) only the difference of
the costs of the two states matters. With `E` this difference plus `gamma`, and `l` the log-likelihood ratio of a tick,
it is `E = min(max(E, 0), gamma) + l`:

* at `E >= gamma` the best path to either state comes from state 1: a burst is on, whatever comes;
* at `E <= 0` the best path to either state comes from state 0: no burst is on, whatever comes.

Between the two the automaton has not made up its mind and what was decided last holds. That is a CUSUM with threshold
`gamma` whose alarm ends at zero: `Evidence` with `off = 0`, here with negative binomial counts in place of Kleinberg's
binomial ones.
"""

from __future__ import annotations

import numpy as np

from metier.apps.monitor.detection.columns import Array
from metier.apps.monitor.detection.cusum import Evidence

RATIO = 6.0
"""The rate of the burst state, in baselines: short and strong, where the CUSUM looks for long and weak."""
OFF = 0.0
"""A burst ends where the automaton has decided that it has."""


def decided(ratios: Array, gamma: float) -> Array:
    """The state `(ticks,)` that the automaton has decided on by each tick.

    Args:
        ratios: `(ticks,)` log-likelihood ratios, of the burst state over the other.
        gamma: the cost of going up.
    """
    sums, live = Evidence(1, [OFF], np.inf), np.ones(1, dtype=bool)
    limit = np.full((1, 1), gamma)
    return np.array([sums.step(at, np.full((1, 1), said), limit, live).on[0, 0] for at, said in enumerate(ratios)])
