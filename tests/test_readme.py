"""The README and the documentation do what they say: their commands run, their links and names exist.

A fenced block after a line `<!-- runs -->` is executed as it stands, in the order of the page, in one folder that all
pages share. The README's first commands fit a small run there, which everything after uses.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import polars
import pytest

from metier import sample
from metier.pipeline.search.ranges import Space
from metier.recipe import Recipe

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RUNNABLE = re.compile(r"<!-- runs -->\n```(\w+)\n(.*?)```", re.DOTALL)
ROWS = {"train": 48, "valid": 12, "test": 12}


@dataclass(frozen=True)
class Block:
    """A fenced block that is to be run."""

    page: Path
    language: str
    code: str


def blocks() -> list[Block]:
    return [Block(page, *found) for page in PAGES for found in RUNNABLE.findall(page.read_text(encoding="utf-8"))]


def small(name: str) -> polars.DataFrame:
    """A few rows of a packaged sample, so that a fit takes seconds."""
    rows = polars.read_csv(sample.path(name), infer_schema=False)
    parts = [
        rows.filter(split=split).sample(min(count, rows.filter(split=split).height), seed=1)
        for split, count in ROWS.items()
    ]
    return polars.concat(parts)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like a checkout to the README's commands, with small samples."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "metier" / "sample").mkdir(parents=True)
    small("headlines").write_csv(folder / "metier" / "sample" / "headlines.csv")
    small("headlines_zh").write_csv(folder / "news_zh.csv")
    return folder


def run(block: Block, folder: Path) -> str:
    scripts = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "METIER_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    code = block.code if block.language != "bash" else "set -e\n" + block.code
    command = ["bash", "-c", code] if block.language == "bash" else [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, f"{block.page.name}:\n{block.code}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.mark.timeout(600)
def test_the_commands_run(folder: Path) -> None:
    assert shutil.which("bash")
    found = blocks()
    assert found[0].page.name == "README.md"
    for block in found:
        run(block, folder)
    assert {"manifest.json", "report.html", "card.md", "model.safetensors"} <= {
        item.name for item in (folder / "runs" / "news").iterdir()
    }
    scored = polars.read_parquet(folder / "scored.parquet")
    assert {"text", "sentiment", "sentiment_score", "sentiment_abstain", "topic"} <= set(scored.columns)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.zh-CN.md"], ids=lambda page: page.name)
def test_recipes_in_the_text_are_valid(page: Path, tmp_path: Path) -> None:
    for block in re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        if page.name == "search.md":
            written = tmp_path / "search.toml"
            written.write_text(block, encoding="utf-8")
            assert Space.read(written).ranges
        else:
            Recipe.parse(tomllib.loads(block), page.name)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.zh-CN.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert "://" in target or (page.parent / target).exists(), target


def test_the_recipe_page_names_every_key() -> None:
    text = (ROOT / "docs" / "recipe.md").read_text(encoding="utf-8")
    parts = {name: field.annotation for name, field in Recipe.model_fields.items()}
    for name, part in parts.items():
        for key in getattr(part, "model_fields", {}):
            assert f"`{key}`" in text, f"{name}.{key}"


def test_both_readmes_show_the_same_commands() -> None:
    def commands(name: str) -> set[str]:
        text = (ROOT / name).read_text(encoding="utf-8")
        return {
            line.split("#")[0].strip()
            for line in text.splitlines()
            if line.startswith("metier ") and "/" not in line[7:8]
        }

    assert commands("README.md") == commands("README.zh-CN.md")


def test_nothing_is_left_to_fill_in() -> None:
    for page in [*PAGES, ROOT / "README.zh-CN.md"]:
        assert not re.findall(r"<!-- (?:OUTPUT|TABLE)", page.read_text(encoding="utf-8")), page.name


def test_the_page_of_the_command_line_names_every_flag() -> None:
    from typer.main import get_command

    from metier.cli import app

    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    waiting = [get_command(app)]
    for command in waiting:
        waiting += getattr(command, "commands", {}).values()
        for option in command.params:
            for name in option.opts:
                assert not name.startswith("--") or f"`{name}" in text, f"{command.name} {name}"


def test_the_examples_run(tmp_path: Path) -> None:
    paths = [ROOT / "examples" / f"{name}.py" for name in ("two_heads", "abstain", "from_memory")]
    assert all(len(path.read_text(encoding="utf-8").splitlines()) <= 45 for path in paths)
    code = (
        f"import runpy\nfor path in {[str(path) for path in paths]}:\n    runpy.run_path(path, run_name='__main__')\n"
    )
    printed = run(Block(Path("examples"), "python", code), tmp_path)
    assert "sentiment" in printed and "answered" in printed and "urgency" in printed
