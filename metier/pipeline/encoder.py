"""An encoder of texts without any fitting: a backbone, or a run with one `embed` head, compiled once to eight bits.

Vectors are the mean over the tokens of a text, of length 1: what all-MiniLM-L6-v2 was trained to give (its model card;
Reimers & Gurevych 2019). Folder: the graph `model.onnx`, `tokenizer.json`, and `encoder.json`, written last.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tokenizers import Tokenizer

from metier import run as folders
from metier.errors import RunError
from metier.models.table import Table
from metier.models.tokeniser import Tokeniser
from metier.pipeline.watch import Silent, Watch
from metier.predict.compiled import Compiled
from metier.predict.engines import OnnxRuntime
from metier.tasks.embed import Embed
from metier.types import Document

if TYPE_CHECKING:
    from metier.models.network import Network

GRAPH, TOKENIZER, FACTS = "model.onnx", "tokenizer.json", "encoder.json"
HEAD = "vector"
ALIKE = 0.99
"""The mean cosine between vectors in eight bits and in float from which eight bits are taken."""
UNKNOWN = 0.3
"""The share of tokens that the tokenizer cannot say from which on a text has no vector."""
LONGEST = 256
"""Tokens of a text that are read, the model card's; what stands behind them is not."""
TOKENS = 1_024
WAYS = ((False, False), (True, False), (False, True))
"""Static activations or not, smoothed or not, in the order of trying."""
PROBES = (
    "What are the opening hours on a public holiday?", "My card was declined when I tried to pay abroad.",
    "reset password", "How long does a refund take, and will I be told when it has arrived?",
    "The parcel was left with a neighbour whom I do not know; the tracking page says that it was handed to me.",
    "Order 4711-A has two items, of which one is missing and one is broken.", "Fees", "Is there an app?",
    "Please cancel my subscription at the end of the month and send me a confirmation by e-mail.",
    "Rates rose for the third time in a row, and lenders passed the increase on within a week.",
    "Who may open a joint account?", "symptoms of a cold in children under five years",
    "I moved last week: where do I tell you the new address, and does my contract stay as it is?", "thanks",
    "The device restarts by itself every few minutes after the last update, even in safe mode.", "VAT number invoice",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an encoder on disk.

    Args:
        source: the backbone or the run that it was made of, as it was named.
        sha256: of the weights that it was made of.
        width: of a vector.
        max_length: tokens of a text that are read.
        precision: `int8` or `fp32`.
        parity: the mean cosine of its vectors with those in float.
        files: name to SHA-256.
    """

    source: str
    sha256: str
    width: int
    max_length: int
    precision: str
    parity: float
    files: dict[str, str]


class Encoder:
    """Texts as unit vectors. Any number of threads may ask at once.

    Args:
        folder: that `build` made.
        threads: that share the work.

    Raises:
        RunError: where the folder is missing, not whole, or something else.
    """

    def __init__(self, folder: str | Path, *, threads: int = 1) -> None:
        self.folder = Path(folder)
        self.facts = _facts(self.folder)
        self.width = self.facts.width
        self._tasks = {HEAD: Embed()}
        tokenizer = Tokenizer.from_file(str(self.folder / TOKENIZER))
        self._tokeniser = Tokeniser(tokenizer, max_length=self.facts.max_length, window=False)
        self._runtime = _runtime(self.folder / GRAPH, self._tokeniser, threads)
        name = getattr(tokenizer.model, "unk_token", None)
        self._unknown = tokenizer.token_to_id(name) if name else None

    @property
    def version(self) -> str:
        """Twelve hexadecimal digits: encoders with the same give the same vectors."""
        return hashlib.sha256(json.dumps(self.facts.files, sort_keys=True).encode()).hexdigest()[:12]

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors `(n, width)`, float32.

        A text most of whose characters the tokenizer does not know has a row of zeros, near to nothing: all such texts
        would look alike.
        """
        if not texts:
            return np.zeros((0, self.width), dtype=np.float32)
        table = Table.of([Document(id="", text=text) for text in texts], self._tokeniser, self._tasks)
        found = units(np.stack(self._runtime.logits(table)[HEAD]))
        if self._unknown is not None:
            known = np.add.reduceat(table.rows.ids == self._unknown, table.rows.bounds[:-1])
            found[known > UNKNOWN * np.maximum(table.rows.lengths - self._tokeniser.layout.cost + 1, 1)] = 0.0
        return found


def units(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1, float32; a row of zeros stays."""
    rows = np.asarray(vectors, dtype=np.float32)
    found: np.ndarray = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
    return found


def build(
    folder: str | Path,
    source: str = "minilm",
    *,
    texts: Sequence[str] = PROBES,
    threads: int = 1,
    watch: Watch | None = None,
) -> Encoder:
    """Makes an encoder, beside `folder` first; one that is there already and was made of the same weights is kept.

    Args:
        folder: where it goes.
        source: `minilm`, a local folder, a Hugging Face id, or a run with one `embed` head.
        texts: that parity is measured on and, where needed, activations are calibrated with: some of your own.
        threads: that share the work.
        watch: hears of it.

    Raises:
        BackboneError: where there is no such backbone.
        RunError: for a run that does not embed, a network that no graph can hold.
    """
    from metier.models.backbone import find

    path, watch = Path(folder), watch or Silent()
    is_run = (Path(source) / folders.MANIFEST).is_file()
    sha256 = folders.Run.open(source).version if is_run else find(source).sha256
    if (path / FACTS).is_file() and (kept := _same(path, sha256, threads)) is not None:
        return kept
    network, tokeniser = _of_run(source) if is_run else _of_backbone(source)
    watch.say(f"Compiling the encoder {source}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        facts = _compile(network, tokeniser, staged, list(texts) or list(PROBES))
        files = {name: _sha256(staged / name) for name in (GRAPH, TOKENIZER)}
        said = {"source": Path(source).name if is_run else source, "sha256": sha256, **facts, "files": files}
        folders.write_text(staged / FACTS, json.dumps(said, indent=1))
        if path.exists():
            shutil.rmtree(path)
        staged.rename(path)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return Encoder(path, threads=threads)


def _same(path: Path, sha256: str, threads: int) -> Encoder | None:
    """The encoder at a place, where it is whole and was made of these weights."""
    try:
        found = Encoder(path, threads=threads)
    except RunError:
        return None
    return found if found.facts.sha256 == sha256 else None


def _of_backbone(source: str) -> tuple[Network, Tokeniser]:
    """The network of a backbone with nothing on top."""
    from metier.models.backbone import find, load_encoder, load_tokenizer
    from metier.models.network import Network

    backbone = find(source)
    encoder = load_encoder(backbone)
    tokeniser = Tokeniser(load_tokenizer(backbone), max_length=min(LONGEST, encoder.window), window=False)
    return Network(encoder, {HEAD: Embed()}, pooling=_pooling(backbone.folder)).eval(), tokeniser


def _pooling(folder: Path) -> str:
    """`cls` where the backbone's own pooling file says so, else the mean."""
    try:
        saved = json.loads((folder / "1_Pooling" / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "mean"
    return "cls" if saved.get("pooling_mode_cls_token") else "mean"


def _of_run(source: str) -> tuple[Network, Tokeniser]:
    """The network of a run with one `embed` head. Raises `RunError` for another run."""
    from metier.models.network import Network
    from metier.pipeline import load, weights
    from metier.recipe import Recipe

    run = folders.Run.open(source)
    heads = load.read_heads(run)
    if [task.kind for task in heads.values()] != ["embed"]:
        kinds = ", ".join(f"{name} ({task.kind})" for name, task in heads.items())
        raise RunError(f"{source} does not embed texts: its heads are {kinds}.", expected="a run with one embed head")
    if not (run.path / load.WEIGHTS).is_file():
        raise RunError(f"{source} has no weights of its own to compile.", expected="a run as metier fit made it")
    found = weights.runtime(run, Recipe.read(run.path / folders.RECIPE), device="cpu")
    if not isinstance(found.network, Network):
        raise RunError(f"{source} is an ensemble.", hint="metier optimise --student makes one network of it")
    network = Network(found.network.encoder, {HEAD: Embed()}, pooling=found.network.pooling)
    rows = min(found.tokeniser.max_length, LONGEST)
    return network.float().eval(), Tokeniser(found.tokeniser.tokenizer, max_length=rows, window=False)


def _compile(network: Network, tokeniser: Tokeniser, staged: Path, texts: list[str]) -> dict[str, Any]:
    """Writes graph and tokenizer into `staged`; what `Facts` says of them. In float where eight bits cost too much."""
    from metier.optimise.export import export
    from metier.optimise.quantise import quantise

    table = Table.of([Document(id="", text=text) for text in texts[:256]], tokeniser, {HEAD: Embed()})
    order = np.argsort(table.rows.lengths, kind="stable")
    floating, graph = staged / "float.onnx", staged / GRAPH
    export(network, table.arrays(order[[-1, 0]]), floating)
    batches = [table.arrays(order[start : start + 16]) for start in range(0, len(order), 16)]
    wanted = _vectors(floating, tokeniser, table)
    precision, parity = "fp32", 1.0
    for static, smooth in WAYS:
        quantise(floating, graph, batches, static=static, smooth=smooth)
        alike = float((wanted * _vectors(graph, tokeniser, table)).sum(axis=1).mean())
        if alike >= ALIKE:
            precision, parity = "int8", alike
            break
    if precision == "int8":
        floating.unlink()
    else:
        floating.replace(graph)
    folders.write_text(staged / TOKENIZER, tokeniser.tokenizer.to_str())
    facts = {"width": int(wanted.shape[1]), "max_length": tokeniser.max_length}
    return {**facts, "precision": precision, "parity": round(parity, 5)}


def _vectors(graph: Path, tokeniser: Tokeniser, table: Table) -> np.ndarray:
    return units(np.stack(_runtime(graph, tokeniser, 1).logits(table)[HEAD]))


def _runtime(graph: Path, tokeniser: Tokeniser, threads: int) -> Compiled:
    few = OnnxRuntime(graph, threads, 1)
    many = few if threads == 1 else OnnxRuntime(graph, 1, threads)
    return Compiled({HEAD: Embed()}, tokeniser, {}, few, many, TOKENS)


def _facts(folder: Path) -> Facts:
    """What `encoder.json` says. Raises `RunError` where the folder is not a whole encoder."""
    hint = "delete the folder; it is made again"
    try:
        facts = Facts(**json.loads((folder / FACTS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        raise RunError(f"{folder} is not an encoder: it has no readable {FACTS}.", hint=hint) from None
    for name, digest in facts.files.items():
        file = folder / name
        if not file.is_file() or _sha256(file) != digest:
            raise RunError(f"{folder} is damaged: {name} is not as it was saved.", hint=hint)
    return facts


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
