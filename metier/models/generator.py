"""Generators: an OpenAI-compatible endpoint, or a causal language model in a local folder."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from metier.errors import BackboneError, MissingExtra, RecipeError
from metier.models.quiet import quiet
from metier.models.wording import Question, Wording

TRIES, PAUSE, LONGEST_PAUSE = 4, 0.5, 30.0
"""A request is sent so often at most; seconds before the second try, doubled from try to try."""
TIMEOUT = 60.0
LIMIT = 1_000_000
"""Bytes that an answer may have."""
AT_ONCE = 4
TOP = 20
SURE = 0.9
"""The probability of a label that was said without any number."""
ROWS = 16
STRIPPED = " \t\r\n.\"'`*。，“”‘’:："


class _Refused(BackboneError):
    """A server does not take a request as it is."""


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is asked of an answer: tokens at most, where it stops, log-probabilities, and until when it is waited for
    (seconds of `time.monotonic`)."""

    tokens: int
    stop: tuple[str, ...] = ()
    numbers: bool = False
    end: float = inf


LABEL = _Wish(32, ("\n",), numbers=True)


class Endpoint:
    """Asks an OpenAI-compatible server (vLLM, llama.cpp, Ollama and others speak its protocol): for one of the labels,
    or for what it has to say.

    `/chat/completions` is asked, and `/completions` where the server does not have the first. Log-probabilities are
    used where the server gives them. An answer that is no label is no answer.

    Args:
        address: `http://127.0.0.1:8080/v1`.
        model: the name of the model there.
        key: the environment variable with the key, which is read when it is needed and never kept.
        table: of the settings that it comes from, for messages.
    """

    def __init__(self, address: str, model: str, key: str = "OPENAI_API_KEY", table: str = "prompt") -> None:
        try:
            parts = urlsplit(address)
            fine = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:  # a port that is none, half an IPv6 address
            fine = False
        if not fine or parts.username or parts.password:
            raise RecipeError(
                f"{table}.endpoint is no address of a generator.",
                expected=f"http://HOST:PORT/v1 without a user or a key; the key is in the variable {table}.api_key_env",
            )
        self.address, self.model, self.key = address.rstrip("/"), model, key
        self.place = parts.netloc
        self.chat = self.numbers = True

    def measured(self, found: np.ndarray) -> np.ndarray:
        """See `Scorer.measured`; a label that was said without any number is not."""
        return np.asarray(~np.isin(found, _bare(found.shape[1])).all(axis=1))

    def describe(self) -> dict[str, Any]:
        """See `Scorer.describe`."""
        return {"way": "endpoint", "address": self.address, "model": self.model, "key": self.key}

    def score(self, wording: Wording, questions: Sequence[Question]) -> np.ndarray:
        """See `Scorer.score`. Raises `BackboneError` where the server does not answer."""
        if not questions:
            return np.zeros((0, len(wording.words)))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return np.stack(list(pool.map(lambda question: self._ask(wording, question), questions)))

    def say(self, text: str, *, tokens: int = 1_024, seconds: float = TIMEOUT) -> str:
        """What the model says to a text, at temperature 0.

        Args:
            text: the question.
            tokens: of the answer, at most.
            seconds: after which nothing more is waited for, further tries and pauses between them included.

        Raises:
            BackboneError: where the server does not answer, or not in time.
        """
        return self._answer(text, _Wish(tokens, end=time.monotonic() + seconds))[0]

    def _ask(self, wording: Wording, question: Question) -> np.ndarray:
        return _read(wording, *self._answer(prompt(wording, question), LABEL))

    def _answer(self, text: str, wish: _Wish) -> tuple[str, dict[str, float]]:
        """An answer, and the log-probabilities of what its first token might have been, where the server gives any."""
        common = {"model": self.model, "temperature": 0, "max_tokens": wish.tokens}
        if self.chat:
            talk = {**common, "messages": [{"role": "user", "content": text}]}
            found = self._numbered("/chat/completions", talk, {"logprobs": True, "top_logprobs": TOP}, wish)
            if found is not None:
                return self._understood(_chat, found)
            self.chat = False
        plain = {**common, "prompt": text, **({"stop": list(wish.stop)} if wish.stop else {})}
        found = self._numbered("/completions", plain, {"logprobs": 5}, wish)
        if found is None:
            raise BackboneError(
                f"The generator at {self.place} knows neither /chat/completions nor /completions.",
                expected="the address of an OpenAI-compatible server, which mostly ends in /v1",
            )
        return self._understood(_completion, found)

    def _understood(
        self, read: Callable[[Mapping[str, Any]], tuple[str, dict[str, float]]], found: Mapping[str, Any]
    ) -> tuple[str, dict[str, float]]:
        try:
            return read(found)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            raise self._no_answer() from None

    def _no_answer(self) -> BackboneError:
        return BackboneError(f"The generator at {self.place} sent what is no answer.", expected="JSON with 'choices'")

    def _numbered(
        self, path: str, content: Mapping[str, Any], numbers: Mapping[str, Any], wish: _Wish
    ) -> dict[str, Any] | None:
        """As `_send`, with a wish for log-probabilities as long as the server does not refuse it."""
        if self.numbers and wish.numbers:
            try:
                return self._send(path, {**content, **numbers}, wish.end)
            except _Refused:
                found = self._send(path, content, wish.end)  # raises where something else is wrong
                self.numbers = False
                return found
        return self._send(path, content, wish.end)

    def _send(self, path: str, content: Mapping[str, Any], end: float = inf) -> dict[str, Any] | None:
        """The answer to a request; `None` where the server has no such path."""
        for turn in range(TRIES):
            status, body, wait = self._post(path, content, end)
            if status == 200:
                return self._parsed(body)
            if status in (404, 405):
                return None
            if status not in (0, 408, 409, 429) and status < 500:
                break
            pause = min(LONGEST_PAUSE, max(wait, PAUSE * 2**turn))
            if turn + 1 == TRIES or time.monotonic() + pause >= end:
                break
            time.sleep(pause)
        in_time = " in time" if time.monotonic() >= end else ""
        said = f"answered with the status {status}" if status else f"does not answer{in_time}"
        hint = f"put its key into the environment variable {self.key}" if status in (401, 403) else "see its log"
        kind = _Refused if status in (400, 422) else BackboneError
        raise kind(f"The generator at {self.place} {said}.", hint=hint)

    def _post(self, path: str, content: Mapping[str, Any], end: float) -> tuple[int, bytes, float]:
        """Status (0: none in time), body and the seconds that the server asks to be left alone for."""
        try:
            import httpx
        except ImportError:
            raise MissingExtra("httpx", "train") from None
        left = min(TIMEOUT, end - time.monotonic())
        if left <= 0:
            return 0, b"", 0.0
        try:
            with httpx.stream(
                "POST", self.address + path, json=dict(content), headers=self._headers(), timeout=left
            ) as response:
                body = b""
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > LIMIT:
                        raise BackboneError(f"The generator at {self.place} sent more than {LIMIT:,} bytes.")
                    if time.monotonic() > end:
                        return 0, b"", 0.0
                wait = response.headers.get("retry-after", "")
                return response.status_code, body, float(wait) if wait.isdecimal() else 0.0
        except httpx.HTTPError:
            return 0, b"", 0.0

    def _headers(self) -> dict[str, str]:
        key = os.environ.get(self.key, "") if self.key else ""
        if not key.isascii():
            raise BackboneError(f"The environment variable {self.key} holds no key.", expected="ASCII characters")
        return {"Authorization": f"Bearer {key}"} if key else {}

    def _parsed(self, body: bytes) -> dict[str, Any]:
        try:
            found = json.loads(body)
            found["choices"][0]
        except (ValueError, KeyError, IndexError, TypeError, RecursionError):
            raise self._no_answer() from None
        return dict(found)


def prompt(wording: Wording, question: Question) -> str:
    """What a generator continues: the instruction, the examples, and the text up to where its label goes."""
    before, between, _ = wording.pieces
    parts = [wording.instruction] if wording.instruction else []
    parts += [wording.shown(*shot) for shot in question.shots]
    return "\n\n".join([*parts, (before + question.text + between).rstrip(" ")])


def _chat(found: Mapping[str, Any]) -> tuple[str, dict[str, float]]:
    """The text of an answer, and the log-probabilities of what its first token might have been."""
    choice = found["choices"][0]
    text = str((choice.get("message") or {}).get("content") or "")
    tokens = (choice.get("logprobs") or {}).get("content") or [{}]
    return text, {str(item["token"]): float(item["logprob"]) for item in tokens[0].get("top_logprobs") or ()}


def _completion(found: Mapping[str, Any]) -> tuple[str, dict[str, float]]:
    choice = found["choices"][0]
    tops = (choice.get("logprobs") or {}).get("top_logprobs") or [{}]
    return str(choice.get("text") or ""), {str(token): float(value) for token, value in (tops[0] or {}).items()}


def _read(wording: Wording, text: str, first: Mapping[str, float]) -> np.ndarray:
    """Log-probabilities of the labels, `(labels,)`, from an answer; zeros where it names none of them."""
    said = text.strip(STRIPPED).casefold()
    names = [{word.strip(STRIPPED).casefold(), label.strip(STRIPPED).casefold()}
             for word, label in zip(wording.words, wording.labels, strict=True)]  # fmt: skip
    hits = [at for at, known in enumerate(names) if said in known]
    if len(hits) != 1:
        return np.zeros(len(names))
    scores = _by_token([word.casefold() for word in wording.words], first)
    if scores is None or int(scores.argmax()) != hits[0]:
        said_so, others = _bare(len(names))
        scores = np.full(len(names), others)
        scores[hits[0]] = said_so
    return scores


def _bare(labels: int) -> tuple[float, float]:
    """Log-probabilities of the label that was said without any number, and of each other one of so many."""
    return float(np.log(SURE)), float(np.log((1.0 - SURE) / max(1, labels - 1)))


def _by_token(words: Sequence[str], first: Mapping[str, float]) -> np.ndarray | None:
    """Log-probabilities of words that begin with different tokens; `None` where two begin alike, or none is there."""
    found: dict[int, float] = {}
    for token, value in first.items():
        start = token.strip().casefold()
        hits = [at for at, word in enumerate(words) if start and word.startswith(start)]
        if len(hits) > 1:
            return None
        for at in hits:
            found[at] = float(np.logaddexp(found.get(at, -np.inf), value))
    if not found:
        return None
    floor = min(first.values()) - 1.0
    return np.array([found.get(at, floor) for at in range(len(words))])


def folder_of(name: str) -> Path:
    """The folder of a local generator. Raises `BackboneError` where there is none."""
    place = Path(name).expanduser()
    if not place.is_dir():
        raise BackboneError(
            f"There is no folder {name} with a generator.",
            expected="a local folder of a causal language model, or the name of a model with prompt.endpoint",
        )
    return place


class Causal:
    """Scores labels by the log-probability with which a causal language model continues a prompt with their words.

    Of a word of several tokens the mean counts (Brown et al. 2020 normalise by length alike). Texts that are too long
    lose their end, and examples that do not fit are left out.

    Args:
        folder: in Hugging Face layout, with weights as safetensors.
    """

    def __init__(self, folder: str, device: Any = "cpu") -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        place = folder_of(folder)
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(str(place), trust_remote_code=False, local_files_only=True)
            with quiet():
                model = AutoModelForCausalLM.from_pretrained(
                    str(place), use_safetensors=True, trust_remote_code=False, local_files_only=True
                )
        except (OSError, ValueError, KeyError, RuntimeError, ImportError, AttributeError, TypeError) as error:
            raise BackboneError(f"{place} cannot be loaded: {type(error).__name__}: {error}.") from None
        self.folder, self.model = folder, model.to(device).eval()
        self.window = int(getattr(model.config, "max_position_embeddings", 2048))

    def measured(self, found: np.ndarray) -> np.ndarray:
        """See `Scorer.measured`."""
        return np.ones(len(found), dtype=bool)

    def describe(self) -> dict[str, Any]:
        """See `Scorer.describe`."""
        return {"way": "causal", "folder": self.folder}

    def score(self, wording: Wording, questions: Sequence[Question]) -> np.ndarray:
        """See `Scorer.score`."""
        words = [self._ids(" " + word) for word in wording.words]
        longest = max(len(word) for word in words)
        return np.array([self._one(self._prompt(wording, question, longest), words) for question in questions])

    def _one(self, start: list[int], words: list[list[int]]) -> list[float]:
        """The mean log-probability of each word's tokens after a prompt."""
        import torch

        found: list[float] = []
        with torch.inference_mode():
            for at in range(0, len(words), ROWS):
                part = words[at : at + ROWS]
                width = max(len(word) for word in part)
                ids = torch.tensor([start + word + [0] * (width - len(word)) for word in part])
                logits = self.model(input_ids=ids.to(self.model.device)).logits[:, len(start) - 1 : -1]
                logs = logits.float().log_softmax(-1).cpu()
                tokens = ids[:, len(start) :]
                each = logs.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
                found += [float(row[: len(word)].mean()) for row, word in zip(each, part, strict=True)]
        return found

    def _prompt(self, wording: Wording, question: Question, longest: int) -> list[int]:
        """The tokens of a prompt that leaves room for the longest word."""
        shots = list(question.shots)
        while True:
            empty = len(self._ids(prompt(wording, Question("", tuple(shots)))))
            room = self.window - longest - empty
            text = self._ids(question.text)
            if len(text) <= room or not shots:
                break
            shots = shots[1:]
        if room < 1:
            raise BackboneError(
                f"The prompt without its text takes {empty + longest} tokens.",
                expected=f"fewer than {self.window}, the generator's window",
            )
        kept = question.text if len(text) <= room else self.tokenizer.decode(text[: room - 1])
        return self._ids(prompt(wording, Question(kept, tuple(shots))))[: self.window - longest]

    def _ids(self, text: str) -> list[int]:
        found: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return found
