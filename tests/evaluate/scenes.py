"""Made-up findings that look like real ones, for the report's tests and for looking at it."""

from __future__ import annotations

import numpy as np

from metier import tasks
from metier.evaluate import phrases
from metier.evaluate.evaluation import beside, confusion, judge, worst_errors
from metier.evaluate.findings import Findings, HeadFindings
from metier.types import Document, Prediction, Span

TEXTS = [
    "Net sales of the paper unit rose 8 % to EUR 214 million in the second quarter.",
    "The board proposes to leave the dividend unchanged.",
    "Orders fell short of what the company had told investors in spring, and the outlook was cut again.",
    "公司三季度净利润同比增长百分之十二，超出市场预期。",
    "The lift maker will close its plant in Salo and move production to Estonia by the end of the year.",
    "Operating loss narrowed to SEK 3.1 mn from SEK 9.8 mn a year earlier.",
]
INTENTS = [
    f"{verb}_{noun}"
    for verb in ("lost", "change", "declined", "pending", "verify", "cancel", "why", "fee")
    for noun in (
        "card",
        "pin",
        "transfer",
        "top_up",
        "identity",
        "refund",
        "exchange_rate",
        "cash",
        "limit",
        "beneficiary",
    )
][:77]


def one_label(
    kind: str,
    labels: list[str],
    *,
    accuracy: float,
    n: int = 800,
    seed: int = 0,
    others: dict[str, float] | None = None,
):
    """A head of single labels whose model, and whose baselines, are right this often."""
    rng = np.random.default_rng(seed)
    task = tasks.build(kind, labels)
    golds = rng.choice(labels, n, p=rng.dirichlet(np.full(len(labels), 8.0))).tolist()
    documents = [Document(TEXTS[i % len(TEXTS)], id=str(i)) for i in range(n)]
    # How easy a document is decides both whether it is got right and how sure the model is.
    easy = rng.beta(5 * accuracy / (1 - accuracy), 5, n)
    wrong = [labels[(labels.index(gold) + 1 + int(rng.exponential(0.7))) % len(labels)] for gold in golds]
    right = rng.random(n) < easy

    def answers(score):
        return [Prediction(g if ok else w, float(s)) for g, w, ok, s in zip(golds, wrong, right, score, strict=True)]

    predictions, raw = answers(easy), answers(easy**0.4)
    baselines = {}
    for name, value in (others or {"majority": 0.4, "lexical": accuracy - 0.08, "probe": accuracy - 0.04}).items():
        hit = (
            (rng.random(n) < value)
            if name == "majority"
            else np.where(rng.random(n) < 0.8, right & (rng.random(n) < value / accuracy), rng.random(n) < value)
        )
        baselines[name] = [Prediction(g if ok else w, 0.5) for g, w, ok in zip(golds, wrong, hit, strict=True)]
    return HeadFindings(
        task=kind,
        test=judge(task, golds, predictions, documents, raw=raw),
        baselines=beside(task, golds, predictions, baselines),
        confusion=confusion(golds, predictions),
        errors=worst_errors(documents, golds, predictions),
        suspects=[
            {"text": TEXTS[i % 6], "given": labels[0], "suggested": labels[1], "score": 0.9 - i / 40} for i in range(14)
        ],
        temperature=1.8,
    )


def spans(n: int = 400, seed: int = 1):
    rng = np.random.default_rng(seed)
    text = "Alma Oyj bought Nordic Papers from Kaisa Virtanen in Tampere on Monday"
    gold = (Span(0, 8, "ORG"), Span(16, 29, "ORG"), Span(35, 49, "PER"), Span(53, 60, "LOC"), Span(64, 70, "DATE"))
    task = tasks.build("tag", [gold])
    documents = [Document(text, id=f"news-{i}") for i in range(n)]

    def answers(rate):
        found = []
        for _ in range(n):
            kept = [
                s if rng.random() < rate else Span(s.start, s.end - 3, s.label)
                for s in gold
                if rng.random() < rate + 0.05
            ]
            found.append(
                Prediction(tuple(kept), float(0.5 + 0.5 * rng.random() * (tuple(kept) == gold) + 0.1 * rng.random()))
            )
        return found

    golds, predictions = [gold] * n, answers(0.9)
    return HeadFindings(
        task="tag",
        test=judge(task, golds, predictions, documents),
        baselines=beside(task, golds, predictions, {"majority": [Prediction((), 1.0)] * n, "lexical": answers(0.6)}),
        errors=worst_errors(documents, golds, predictions),
        notes=[{"says": phrases.CUT, "split": "test", "count": 12, "of": n, "limit": 256}],
    )


def numbers(n: int = 300, seed: int = 2):
    rng = np.random.default_rng(seed)
    golds = np.round(rng.random(n) * 5, 1)
    task = tasks.build("score", golds.tolist())
    documents = [Document(TEXTS[i % 6], pair=TEXTS[(i + 2) % 6], id=str(i)) for i in range(n)]
    noise = rng.random(n) * 1.2
    found = golds + rng.normal(size=n) * noise
    predictions = [Prediction(float(v), float(1 - s / 2)) for v, s in zip(found, noise, strict=True)]
    theirs = {
        "majority": [Prediction(2.5, 1.0)] * n,
        "lexical": [Prediction(float(v), 1.0) for v in golds + rng.normal(size=n) * 1.3],
    }
    return HeadFindings(
        task="score",
        test=judge(task, golds.tolist(), predictions, documents),
        baselines=beside(task, golds.tolist(), predictions, theirs),
        errors=worst_errors(documents, golds.tolist(), predictions),
    )


def findings(**heads: HeadFindings) -> Findings:
    steps = np.arange(1, 420)
    rng = np.random.default_rng(0)
    loss = 1.1 * np.exp(-steps / 120) + 0.18 + rng.normal(size=len(steps)) * 0.05
    records = [
        {"step": int(s), "epoch": float(s / 140), "loss": float(v), "lr": float(2e-4 * min(s / 40, (420 - s) / 380))}
        for s, v in zip(steps, loss, strict=True)
    ]
    for at in (70, 140, 210, 280, 350, 418):
        records[at]["valid"] = {
            name: float((h.judged["headline"]["value"] or 0.5) * (1 - 0.25 * np.exp(-at / 80)))
            for name, h in heads.items()
        }
    return Findings(
        name="news-2026-11-22-a1f3",
        heads=heads,
        created="2026-11-22T17:20:31+00:00",
        metier="0.1.0",
        method="full",
        data={
            "source": "news.csv",
            "fingerprint": "9f2b6c0d1e4a7788aabb",
            "rows": {"train": 3870, "valid": 483, "test": 483},
            "duplicates": 41,
            "leaked": 3,
            "truncated": 0.004,
            "languages": {"en": 0.97, "zh": 0.03},
        },
        curve=records,
        costs={
            "seconds": 412.3,
            "examples_per_second": 96.4,
            "peak_memory": 1_234_567_890,
            "stages": {"read": 0.4, "fit": 391.0, "evaluate": 20.9},
        },
        recipe='seed = 0\n\n[data]\npath = "news.csv"\ntext = ["text"]\n\n[heads.sentiment]\ncolumn = "sentiment"\n',
        environment={"python": "3.11.9", "torch": "2.13.0", "machine": "x86_64, 2 cores", "system": "Linux"},
        backbone={"name": "minilm", "licence": "Apache-2.0", "parameters": 22_713_216},
    )
