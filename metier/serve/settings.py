"""What an operator decides about the service: where it listens, who may ask, how much it takes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from ipaddress import ip_address
from pathlib import Path

from metier.errors import RecipeError

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one client may ask of the service. Sizes are in bytes, characters or texts; times in seconds.

    Raises `RecipeError` for a limit that is not above zero, or a queue that could not hold one request.
    """

    body_bytes: int = 1 << 20
    texts: int = 128
    """Texts (or pairs) a request."""
    characters: int = 20_000
    """Characters a text."""
    depth: int = 8
    """Levels of nesting in a JSON body."""
    queue: int = 1_024
    """Texts of all runs that wait at one time; what does not fit is refused with 503."""
    batch_texts: int = 32
    batch_characters: int = 16_000
    """Of a batch; a longer text goes alone. A batch keeps everybody waiting, and in Chinese a character is a token."""
    batch_seconds: float = 0.1
    """Of a batch, as the pace of its run foretells it: for so long one run keeps the others waiting, and those who came
    first keep waiting those who came next. Four times what a batch costs however small it is, if that is more."""
    fill_seconds: float = 0.005
    """For how long at most a batch waits to be fuller, under load; a quarter of the time that it takes, if less."""
    wait_seconds: float = 0.12
    """What is foretold to wait longer is refused with 503; of a slow run, what comes behind eight texts."""
    request_seconds: float = 30.0
    """For how long a request waits while the model answers nobody. While it does, even a slow one is waited for."""
    body_seconds: float = 10.0
    """From the headers of a request to the end of its body."""
    header_seconds: float = 10.0
    """From the first byte of a request to the end of its headers."""
    header_bytes: int = 16_384
    idle_seconds: int = 65
    """For how long a connection may stay open between two requests: longer than the 60 seconds of most proxies, so that
    it is they who close it, and none sends a request into a connection that is just closing."""
    connections: int = 512
    drain_seconds: float = 20.0
    """How long SIGTERM waits for requests that were accepted before it."""

    def __post_init__(self) -> None:
        for limit in fields(self):
            if not getattr(self, limit.name) > 0:
                raise RecipeError(
                    f"The limit {limit.name} is {getattr(self, limit.name)}.", expected="a number above 0"
                )
        if self.texts > self.queue:
            raise RecipeError(
                f"A request may hold {self.texts} texts, but only {self.queue} can wait.",
                expected="a queue that holds at least one request",
                hint="raise the queue or lower the texts a request",
            )


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the service listens and who may use it.

    Args:
        host: the address to bind; anything but loopback needs `api_key_file`, or `insecure` said aloud.
        port: the port; 0 takes a free one.
        api_key_file: a file of API keys, one a line, `#` starts a comment. Without it nobody is asked for a key.
        insecure: allows a public address without keys.
        allowed_hosts: names that the `Host` header may hold beside the loopback ones. Bound to loopback, every other
            name is refused, so that a web site cannot reach the service by pointing its own name here (DNS rebinding).
            Bound elsewhere, an empty tuple accepts every name.
        page: whether `/` shows the page.
        memory: bytes that the process may take. With it the default run is loaded at the start and every other when it
            is asked first; who was used least recently is let go for it. Without it all are loaded at the start.
        look_seconds: how often the folders of the runs are looked at: one that was replaced is loaded anew.

    Raises:
        RecipeError: for a public address that nothing protects, or a port that does not exist.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    api_key_file: Path | None = None
    insecure: bool = False
    allowed_hosts: tuple[str, ...] = ()
    page: bool = True
    memory: int | None = None
    look_seconds: float = 2.0
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.look_seconds <= 0 or (self.memory is not None and self.memory <= 0):
            raise RecipeError("A memory limit and the time between two looks are above 0.", expected="such as 2GB, 2.0")
        if not 0 <= self.port <= 65_535:
            raise RecipeError(f"Port {self.port} does not exist.", expected="0 to 65535")
        if not (is_loopback(self.host) or self.api_key_file or self.insecure):
            raise RecipeError(
                f"{self.host} can be reached from other machines, and no API keys protect it.",
                expected="--api-key-file FILE with a public --host",
                hint="name a key file, leave --host out, or say --insecure if anybody may use it",
            )

    def known_hosts(self) -> frozenset[str] | None:
        """The names that the `Host` header may hold, in lower case, or `None` where any will do."""
        if not is_loopback(self.host) and not self.allowed_hosts:
            return None
        return frozenset(name.lower() for name in (*LOOPBACK_NAMES, self.host, *self.allowed_hosts))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address. A name other than `localhost` is taken to be public."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def memory_size(text: str) -> int:
    """Bytes: `2GB`, `512MB`, `1.5 GiB`, or a number of bytes; a thousand is 1024 here. Raises `RecipeError`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(?:([kmgt])i?)?b?", text.strip().lower())
    size = int(float(found[1]) * 1024 ** " kmgt".index(found[2] or " ")) if found else 0
    if size <= 0:
        raise RecipeError(f"{text!r} is no amount of memory.", expected="such as 512MB, 2GB or 1.5GB")
    return size
