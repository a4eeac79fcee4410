"""Fills the table of figures in both READMEs from `results/*.json`: `python -m benchmarks.table`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.sections import SECTIONS, percent

HERE = Path(__file__).parent
PAGES = ("README.md", "README.zh-CN.md")
MARKS = re.compile(r"(<!-- figures -->\n).*?(<!-- /figures -->)", re.DOTALL)
SETTINGS = ("batch_32", "batch_16", "padded_to_128")
Line = Callable[[dict[str, Any]], tuple[str, str]]


def quality(result: dict[str, Any]) -> tuple[str, str]:
    """Figure and bar of a quality measurement: mean ± sd over the seeds."""
    spread = f" ± {100 * result['sd']:.1f}" if result.get("sd") else ""
    count = len(result["seeds"])
    return f"{percent(result['mean'])}{spread} ({count} seed{'s' * (count > 1)})", percent(result["bar"])


def times(ratio: dict[str, float]) -> str:
    """A median ratio with its spread."""
    return f"{ratio['median']:.2f} × ({ratio['min']:.2f} – {ratio['max']:.2f})"


def _faster(result: dict[str, Any], kind: str) -> float:
    """The mean of the tasks' median ratios."""
    return mean(task[kind]["faster"]["median"] for task in result["tasks"].values())


LINES: dict[str, tuple[str, str, Line]] = {
    "banking77": ("Banking77, accuracy", "Banking77，准确率", quality),
    "clinc150": ("CLINC150, in-scope accuracy", "CLINC150，范围内准确率", quality),
    "phrasebank:50agree": (
        "Financial PhraseBank 50 % agree, accuracy",
        "Financial PhraseBank（50% 一致），准确率",
        quality,
    ),
    "phrasebank:allagree": (
        "Financial PhraseBank all agree, accuracy",
        "Financial PhraseBank（完全一致），准确率",
        quality,
    ),
    "sst2": ("SST-2 (6,909 sentences), accuracy", "SST-2（6,909 句），准确率", quality),
    "bc5cdr": ("BC5CDR, strict entity F1", "BC5CDR，实体严格 F1", quality),
    "wnut17": ("WNUT17, strict entity F1", "WNUT17，实体严格 F1", quality),
    "reuters": ("Reuters-21578 ModApte, micro-F1", "Reuters-21578 ModApte，微平均 F1", quality),
    "semeval2010": (
        "SemEval-2010 task 8, official macro-F1",
        "SemEval-2010 任务 8，官方宏平均 F1",
        quality,
    ),
    "training_speed": (
        "examples a second of a fit against transformers' `Trainer`: batch 32 / batch 16 / padded to 128",
        "训练速度，对比 transformers 的 `Trainer`：批 32 / 批 16 / 填充到 128",
        lambda r: (
            " / ".join(times(r[name]["ratio"]) for name in SETTINGS),
            " / ".join(f"{r[name]['bar']} ×" for name in SETTINGS),
        ),
    ),
    "training_speed#share": (
        "share of the measured fp32 matrix-product peak while fitting: batch 32 / batch 16",
        "训练时达到的 fp32 矩阵乘峰值比例：批 32 / 批 16",
        lambda r: (" / ".join(percent(r[name]["share_of_peak"]) for name in SETTINGS[:2]), percent(r["bar_share"])),
    ),
    "training_accuracy": (
        "Banking77 accuracy of the same fit and of the `Trainer`'s",
        "同样训练在 Banking77 上的准确率，与 `Trainer` 对比",
        lambda r: (" / ".join(percent(r["accuracy"][name]) for name in ("ours", "trainer")), "-0.5"),
    ),
    "sentfin": ("SEntFiN, sentiment towards each entity, accuracy", "SEntFiN，对每个实体的情感，准确率", quality),
    "prediction": (
        "Banking77 in int8 against transformers' `pipeline`: texts a second / delay of one text",
        "Banking77（int8）对比 transformers 的 `pipeline`：吞吐 / 单条延迟",
        lambda r: (
            f"{times(r['throughput'])} / {times(r['latency'])}",
            f"{r['bars']['throughput']:g} × / {r['bars']['latency']:g} ×",
        ),
    ),
    "prediction#size": (
        "size of that run / with its vocabulary trimmed; points of accuracy that eight bits cost",
        "该模型的大小 / 裁剪词表后；量化损失的准确率",
        lambda r: (
            f"{r['megabytes']['int8']:.1f} MB / {r['megabytes']['trimmed']:.1f} MB; {r['accuracy']['points']:+.2f}",
            f"{r['bars']['mb']} MB / {r['bars']['trimmed_mb']} MB; {r['bars']['points']:g}",
        ),
    ),
    "students": (
        "students of three thin layers, mean of three tasks: points against the teacher / throughput against its int8",
        "三层瘦学生模型（三个任务平均）：与教师相比的百分点 / 相对 int8 教师的吞吐",
        lambda r: (
            f"{r['mean_points']['3 thin layers']:+.1f} / {_faster(r, '3 thin layers'):.2f} ×",
            f"{r['bars']['points']:g} / {r['bars']['faster']:g} ×",
        ),
    ),
    "students#static": (
        "static student of Banking77: points against the teacher / texts a second",
        "Banking77 的静态学生模型：与教师相比的百分点 / 每秒文本数",
        lambda r: (
            "{points:+.1f} / {texts_per_second:,.0f}".format(**r["tasks"]["banking77"]["static"]),
            f"{r['bars']['static_points']:g} / {r['bars']['static_texts_per_second']:,}",
        ),
    ),
    "corpus": (
        "static student, 10 million rows against one million: cost of a row / peak memory",
        "静态学生模型，1000 万行对比 100 万行：单行成本 / 内存峰值",
        lambda r: (f"{r['time_ratio']:.2f} × / {r['memory_ratio']:.2f} ×", "1.1 × / 1.1 ×"),
    ),
    "serve_load-steady": (
        "100 single texts a second at the server: p50 / p95",
        "服务器每秒 100 条单文本：p50 / p95",
        lambda r: (" / ".join(f"{r['latency_ms']['accepted'][at]:.0f} ms" for at in ("p50", "p95")), "25 ms (p95)"),
    ),
    "serve_load-over": (
        "three times as many as it can: p95 of those accepted",
        "三倍于其处理能力时：被接受请求的 p95",
        lambda r: (f"{r['latency_ms']['accepted']['p95']:.0f} ms", "250 ms"),
    ),
    "monitor_chain": (
        "opinion monitoring, the whole chain: documents a second / p95 until counted at 100 a second",
        "舆情监测全流程：每秒文档数 / 每秒 100 篇时计入统计的 p95",
        lambda r: (
            f"{r['replay']['documents/s']:.0f} / {r['arrival']['seconds']['p95']:.2f} s",
            f"{r['bars']['documents/s']} / {r['bars']['p95 seconds at 100/s']:g} s",
        ),
    ),
    "support_load": (
        "customer service, 50 conversations at once: p95 of known answers / of answers from documents",
        "客户服务，50 个并发会话：已知问答 / 文档答案的 p95",
        lambda r: tuple(
            " / ".join(f"{one:.0f} ms" for one in found)
            for found in ([r[tier]["latency_ms"][tier]["p95"] for tier in r["bars_ms"]], r["bars_ms"].values())
        ),
    ),
    "support_medquad": (
        "MedQuAD, the right answer among five for rewritten questions",
        "MedQuAD，改写问题的 recall@5",
        lambda r: (percent(r["mean"]), percent(r["bar"])),
    ),
    "support_documents": (
        "answers out of documents, PubMedQA / CMRC 2018: answered; of these right; unanswerable ones refused",
        "基于文档的回答，PubMedQA / CMRC 2018：回答比例；其中正确；无文档问题的拒答率",
        lambda r: (
            " / ".join(
                "; ".join(percent(one[key]) for key in ("answered", "right_of_answered", "of_these_refused"))
                for one in (r["sets"]["pubmed"], r["sets"]["cmrc"])
            ),
            "-",
        ),
    ),
    "two_heads": (
        "two heads on one encoder against two runs",
        "一个编码器带两个任务头，对比两个单头模型",
        lambda r: (times(r["ratio"]), f"{r['bar']} ×"),
    ),
    "startup": (
        "`import metier` / `metier --help`",
        "`import metier` / `metier --help`",
        lambda r: (
            " / ".join(f"{r['seconds'][name]['median']:.2f} s" for name in r["bars"]),
            " / ".join(f"{bar} s" for bar in r["bars"].values()),
        ),
    ),
    "memory_read": (
        "1,000,000 rows (200 MB): reader, doctor, prediction without a model; peak memory",
        "100 万行（200 MB）：读取、体检、不含模型的预测；内存峰值",
        lambda r: (f"{max(job['peak_mb'] for job in r['jobs'].values()):.0f} MB", f"{r['limit_mb']} MB"),
    ),
}
"""Title in English and in Chinese, and how figure and bar are written, by `NAME`, `NAME:part` or `NAME#second line`."""


def table(page: str) -> str:
    """The Markdown table of every result that there is."""
    chinese = "zh" in page
    rows = ["| 项目 | 实测 | 目标 |" if chinese else "| what | measured | bar |", "|---|---|---|"]
    for key, (english, translated, line) in LINES.items():
        name, _, part = key.partition("#")[0].partition(":")
        file = HERE / "results" / f"{name}.json"
        if file.is_file():
            result = json.loads(file.read_text(encoding="utf-8"))
            title = translated if chinese else english
            rows.append("| " + " | ".join((title, *line(result[part] if part else result))) + " |")
    return "\n".join(rows)


def fill(page: Path) -> None:
    """Writes every table of a page between its marks."""
    text = page.read_text(encoding="utf-8")
    for name, draw in SECTIONS.items():
        marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        file = HERE / "results" / f"{name}.json"
        if marks.search(text) and file.is_file():
            drawn = draw(json.loads(file.read_text(encoding="utf-8")))
            text = marks.sub(lambda found, drawn=drawn: f"{found[1]}{drawn}\n{found[2]}", text)
    page.write_text(text, encoding="utf-8")


def main() -> None:
    """Writes the table between the marks of each page."""
    for name in PAGES:
        page = HERE.parent / name
        text = page.read_text(encoding="utf-8")
        page.write_text(
            MARKS.sub(lambda found, name=name: f"{found[1]}{table(name)}\n{found[2]}", text), encoding="utf-8"
        )
    for found in sorted((HERE.parent / "docs").glob("*.md")):
        fill(found)


if __name__ == "__main__":
    main()
