"""The command line: parse, one call, print."""

from __future__ import annotations

import errno
import os
import re
import sys
from typing import NoReturn

import typer

from metier.cli import (  # noqa: F401  (each adds its commands)
    customers,
    fit,
    keep,
    look,
    merge,
    search,
    small,
    use,
    watch,
)
from metier.cli.options import app
from metier.errors import MetierError, MissingExtra

EXTRAS = {
    "polars": "data", "pyarrow": "data", "sklearn": "data", "scipy": "data", "fastexcel": "data",
    "torch": "train", "transformers": "train", "accelerate": "train", "huggingface_hub": "train",
    "onnx": "train", "onnxscript": "train", "openvino": "openvino",
    "optuna": "search", "sqlalchemy": "apps", "psycopg": "apps", "alembic": "apps", "argon2": "apps",
    "rapidfuzz": "apps", "feedparser": "apps", "httpx": "apps", "redis": "apps", "apprise": "apps",
}  # fmt: skip
"""What the base install lacks, and the extra that brings it."""
UsageError: type[Exception] = typer.BadParameter.__bases__[0]
"""What typer raises for unknown commands, flags and values; it has no public name of its own."""
FULL = (errno.ENOSPC, errno.EDQUOT)
UNUSABLE = (
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY, errno.EACCES, errno.EPERM, errno.EROFS,
    errno.ENAMETOOLONG, errno.ELOOP, errno.EXDEV, errno.EBUSY,
)  # fmt: skip
"""What a path that the user named may be at fault for."""


def main() -> None:
    """Runs the command. Exit code 2 on a user's mistake, 1 on a fault of ours."""
    try:
        if code := app(prog_name="metier", standalone_mode=False):  # typer makes one of the keyboard's interrupt
            _stop("stopped", code)
    except MetierError as error:
        _stop(str(error))
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        _stop(str(MissingExtra(error.name, EXTRAS[error.name])))
    except UsageError as error:
        _stop(error.format_message())  # type: ignore[attr-defined]
    except OSError as error:
        if not (message := _about_a_file(error)):
            raise
        _stop(message)
    except (KeyboardInterrupt, typer.Abort):
        _stop("stopped", 130)


def _about_a_file(error: OSError) -> str:
    """What to say of a path that its user can mend; the empty string for every other error."""
    # pyarrow has no `filename`, but names the file in its words
    named = re.search(r"local file '([^']+)'", str(error))
    file = error.filename2 or error.filename or (named and named[1])
    if error.errno in FULL:
        return f"{file or 'A file'} could not be written: {error.strerror}. Try: free some disk space."
    if error.errno in UNUSABLE and file:
        return f"{file} cannot be read or written: {os.strerror(error.errno)}. Try: another path."
    return ""


def _stop(message: str, code: int = 2) -> NoReturn:
    if message:  # without a command the help was shown
        print(f"metier: {message}", file=sys.stderr)
    sys.exit(code)
