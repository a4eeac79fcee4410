"""`metier train` in one of several processes, which afterwards tells what weights it ended with.

Run by `torchrun`: `shared_fit.py FOLDER train ...` leaves `FOLDER/rank-N.json`.
"""

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from metier import cli
from metier.models.machine import Machine
from metier.train import loop

folder = Path(sys.argv.pop(1))
rank = os.environ["RANK"]
told: dict[str, Any] = {"examples": 0}
steps, restore_best, own_noise = loop.steps, loop.restore_best, Machine.own_noise


def counted(fit):
    for record in steps(fit):
        told["examples"] += record.examples
        yield record


def restored(fit):
    restore_best(fit)
    weights = b"".join(tensor.numpy().tobytes() for tensor in fit.network.state_dict().values())
    told["weights"], told["steps"] = hashlib.sha256(weights).hexdigest(), fit.state.step
    (folder / f"rank-{rank}.json").write_text(json.dumps(told))


loop.steps, loop.restore_best = counted, restored
cli.main()
