"""API keys: who may ask. Kept as digests, compared in constant time."""

from __future__ import annotations

import hmac
import secrets
from hashlib import sha256
from typing import TYPE_CHECKING

from metier.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


class KeyRing:
    """The keys that open the service; an empty ring opens it to everybody.

    Digests are keyed with a secret of this process, so that memory holds no key and two services share no digest.
    """

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._secret = secrets.token_bytes(32)
        self._digests = tuple(self._digest(key.encode()) for key in keys)

    @classmethod
    def read(cls, path: Path | None) -> KeyRing:
        """The keys of a file: one a line, empty lines and what follows `#` left out.

        Raises `RecipeError` where the file cannot be read or holds no key.
        """
        if path is None:
            return cls()
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(
                f"The key file {path} cannot be read ({error}).", expected="a text file, one key a line"
            ) from error
        keys = [key for line in lines if (key := line.split("#", 1)[0].strip())]
        if not keys:
            raise RecipeError(
                f"The key file {path} holds no key.", expected="one key a line", hint="openssl rand -hex 24"
            )
        return cls(keys)

    def __bool__(self) -> bool:
        return bool(self._digests)

    def opens(self, key: bytes) -> bool:
        """Whether `key` is one of ours. Every key is compared, whatever the first ones gave."""
        presented = self._digest(key)
        matches = [hmac.compare_digest(presented, digest) for digest in self._digests]
        return any(matches)

    def admits(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a request with these headers (names in lower case) may pass."""
        if not self:
            return True
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        key = token.strip() if scheme.lower() == b"bearer" else headers.get(b"x-api-key", b"").strip()
        return self.opens(key)

    def _digest(self, key: bytes) -> bytes:
        return hmac.new(self._secret, key, sha256).digest()
