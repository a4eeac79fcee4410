"""Webhooks that this house sends: signed as the Standard Webhooks specification has it, and to no private address."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from metier.apps.addresses import pinned, shown
from metier.errors import MissingExtra, RecipeError

AGAIN = (408, 409, 425, 429)
"""Statuses after which the same is tried again, beside those from 500 on."""
LONGEST = 86_400.0
"""Seconds that a receiver may ask us to wait."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How it went: taken, or not, whether to try again, what was wrong (no secret in it), how long to wait at least."""

    taken: bool
    again: bool = False
    fault: str = ""
    wait: float = 0.0


@dataclass(frozen=True)
class Hook:
    """A webhook: where it is, and how it is asked. `repr` shows no secret.

    Args:
        url: its address.
        token: for `Authorization: Bearer`; empty: none.
        secret: signs every body, as the Standard Webhooks specification has it; empty: no signature. With the prefix
            `whsec_` it is base64, as that specification writes it.
        timeout: seconds, for the connection and for each wait for the answer.
        allow_private: whether it may be in a private network.
    """

    url: str
    token: str = ""
    secret: str = ""
    timeout: float = 10.0
    allow_private: bool = False

    def __repr__(self) -> str:
        return f"Hook({shown(self.url)!r})"


class Webhook:
    """Posts the body as JSON. Redirects are not followed, and nothing of the answer but its status is read."""

    def __init__(self, hook: Hook, clock: Callable[[], float] = time.time) -> None:
        try:
            import httpx
        except ImportError:
            raise MissingExtra("httpx", "apps") from None
        self.hook, self.clock = hook, clock
        self._key = signing_key(hook.secret)
        # The transport by itself: httpx's client would log the whole address, which is often a secret.
        self._transport = httpx.HTTPTransport(verify=_authorities(), trust_env=False, retries=0)
        self._timeout = dict.fromkeys(("connect", "read", "write", "pool"), hook.timeout)

    def send(self, name: str, body: Mapping[str, Any]) -> Answer:
        """See `Sender.send`."""
        import httpx

        place = shown(self.hook.url)
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", errors="replace")
        try:
            target = pinned(self.hook.url, self.hook.allow_private)
            headers = {**self._headers(name, content), **target.headers}
            extensions = {**target.extensions, "timeout": self._timeout}
            request = httpx.Request("POST", target.url, headers=headers, content=content, extensions=extensions)
            answer = self._transport.handle_request(request)
            answer.close()
        except RecipeError as error:
            return Answer(False, again=False, fault=str(error))
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return Answer(False, again=True, fault=f"{place} cannot be reached ({type(error).__name__})")
        return self._judged(answer.status_code, answer.headers.get("retry-after", ""), place)

    def close(self) -> None:
        """Lets the connections go."""
        self._transport.close()

    def _judged(self, status: int, wait: str, place: str) -> Answer:
        if 200 <= status < 300:
            return Answer(True)
        again = status >= 500 or status in AGAIN
        moved = ", and redirects are not followed" if 300 <= status < 400 else ""
        pause = _pause(wait, self.clock()) if again else 0.0
        return Answer(False, again, f"{place} answered with the status {status}{moved}", pause)

    def _headers(self, name: str, content: bytes) -> dict[str, str]:
        at = str(int(self.clock()))
        headers = {"Content-Type": "application/json", "User-Agent": "metier", "Idempotency-Key": name}
        if self.hook.token:
            headers["Authorization"] = f"Bearer {self.hook.token}"
        if self._key:
            mark = _signed(self._key, name, at, content)
            headers |= {"webhook-id": name, "webhook-timestamp": at, "webhook-signature": mark}
        return headers


def signature(secret: str, name: str, at: str, content: bytes) -> str:
    """What is sent in `webhook-signature`: HMAC-SHA256 (RFC 2104) over id, time in seconds, and body.

    Args:
        secret: that both sides know; with the prefix `whsec_` it is base64.
        name: `webhook-id`: of the message, the same at every try.
        at: `webhook-timestamp`.
        content: the body.
    """
    return _signed(signing_key(secret), name, at, content)


def _signed(key: bytes, name: str, at: str, content: bytes) -> str:
    digest = hmac.new(key, f"{name}.{at}.".encode() + content, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def _authorities() -> ssl.SSLContext:
    """Whose certificates are believed: those whom the machine believes (`SSL_CERT_FILE` too), and the web's usual."""
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def signing_key(secret: str) -> bytes:
    """The bytes that a secret stands for. Raises `RecipeError` where it says `whsec_` and is no base64."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise RecipeError("The secret of a webhook is not base64 after whsec_.") from None


def _pause(text: str, now: float) -> float:
    """`Retry-After` in seconds: a number or a date (RFC 9110); nought where it is neither."""
    if text.strip().isdecimal():
        return min(float(text), LONGEST)
    try:
        return min(max(0.0, parsedate_to_datetime(text).timestamp() - now), LONGEST) if text else 0.0
    except (ValueError, TypeError, OverflowError):
        return 0.0
