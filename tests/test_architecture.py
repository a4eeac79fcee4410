"""The shape of the house, read from its sources: which way imports run, where libraries stop, how long things are."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "metier"

# Imports go only to the left (here: up), and inside a row never sideways. `metier/__init__.py` names the public
# objects lazily and stands outside.
ROWS = (
    ("types", "errors"),
    ("recipe", "run", "sample"),
    ("data",),
    ("tasks",),
    ("models",),
    ("train", "predict", "optimise", "evaluate", "store", "search"),
    ("pipeline",),
    ("model",),
    ("apps",),
    ("serve",),
    ("progress",),
    ("cli",),
)
LEVEL = {part: level for level, row in enumerate(ROWS) for part in row}

# Where a library may be imported at all, at any depth of a file.
ONLY_IN = {
    "transformers": {"models"},
    "peft": {"models"},
    "torch": {"tasks", "models", "train", "predict", "optimise"},
    "onnx": {"optimise"},
    "onnxruntime": {"optimise", "predict"},
    "openvino": {"predict"},
    "accelerate": {"train", "models"},
    "fastapi": {"serve"},
    "starlette": {"serve"},
    "uvicorn": {"serve"},
    "nicegui": {"serve"},
    "typer": {"cli"},
    "rich": {"cli", "progress"},
    "optuna": {"pipeline"},
    "ray": {"predict"},
    "alembic": {"store"},
    "argon2": {"store"},
    "feedparser": {"apps"},
    "redis": {"apps"},
    "apprise": {"apps"},
    "rapidfuzz": {"apps"},
    "jieba": {"search"},
    "usearch": {"search"},
    "defusedxml": {"data"},
    "markdown_it": {"data"},
    "phonenumbers": {"data"},
    "pypdf": {"data"},
    "stdnum": {"data"},
}
PICKLES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "jsonpickle"}
VAGUE = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc", "core"}
HEAVY = {
    "torch", "transformers", "polars", "numpy", "pandas", "pyarrow", "sklearn", "scipy", "matplotlib", "pydantic",
    "fastapi", "nicegui", "typer", "peft", "optuna", "sqlalchemy", "rich", "tokenizers",
}  # fmt: skip
HEAVY_FOR_HELP = HEAVY - {"typer", "rich", "pydantic"}

FILES = sorted(PACKAGE.rglob("*.py"))
TREES = {file: ast.parse(file.read_text(encoding="utf-8"), str(file)) for file in FILES}


def part_of(file: Path) -> str:
    """The row entry that a file belongs to; the empty string for the package's own `__init__` and `__main__`."""
    first = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first in ("__init__", "__main__", "_version") else first


def named(file: Path) -> str:
    return str(file.relative_to(PACKAGE.parent))


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every dotted module that a file imports, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            module = node.module or ""
            yield module, node.lineno
            if module == "metier":
                yield from ((f"metier.{alias.name}", node.lineno) for alias in node.names)


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def lines(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_every_part_has_its_place() -> None:
    assert {part_of(file) for file in FILES} - {""} <= set(LEVEL)


def test_imports_go_only_to_the_left() -> None:
    wrong = []
    for file, tree in TREES.items():
        part = part_of(file)
        if not part:
            continue
        for module, line in imports(tree):
            target = module.split(".")[1] if module.startswith("metier.") else ""
            if target in LEVEL and target != part and LEVEL[target] >= LEVEL[part]:
                wrong.append(f"{named(file)}:{line} imports {module}")
    assert not wrong


def test_libraries_stay_where_they_belong() -> None:
    wrong = [
        f"{named(file)}:{line} imports {module}"
        for file, tree in TREES.items()
        for module, line in imports(tree)
        if part_of(file) not in ONLY_IN.get(module.split(".")[0], {part_of(file)})
    ]
    assert not wrong


def test_only_the_command_line_prints() -> None:
    wrong = [
        f"{named(file)}:{call.lineno}"
        for file, tree in TREES.items()
        for call in calls(tree)
        if isinstance(call.func, ast.Name) and call.func.id == "print" and part_of(file) != "cli"
    ]
    assert not wrong


def test_nothing_is_unpickled_or_evaluated() -> None:
    wrong = []
    for file, tree in TREES.items():
        wrong += [f"{named(file)}:{line} {module}" for module, line in imports(tree) if module.split(".")[0] in PICKLES]
        for call in calls(tree):
            text = ast.unparse(call.func)
            unsafe = text in ("eval", "exec", "compile", "__import__", "torch.load", "torch.save", "yaml.load")
            flags = {word.arg: word.value for word in call.keywords}
            for flag in ("trust_remote_code", "allow_pickle"):
                value = flags.get(flag)
                unsafe |= value is not None and not (isinstance(value, ast.Constant) and value.value is False)
            if unsafe:
                wrong.append(f"{named(file)}:{call.lineno} {text}")
    assert not wrong


def test_no_logging_is_configured() -> None:
    wrong = [
        f"{named(file)}:{call.lineno}"
        for file, tree in TREES.items()
        for call in calls(tree)
        if ast.unparse(call.func) in ("logging.basicConfig", "basicConfig") and part_of(file) != "cli"
    ]
    assert not wrong


def test_names_say_something_and_are_ascii() -> None:
    vague = [named(file) for file in FILES if {*file.relative_to(PACKAGE).with_suffix("").parts} & VAGUE]
    assert not vague
    foreign = []
    for file, tree in TREES.items():
        for node in ast.walk(tree):
            name = getattr(node, "id", None) or getattr(node, "arg", None) or getattr(node, "name", None)
            if isinstance(name, str) and not name.isascii():
                foreign.append(f"{named(file)}: {name}")
    assert not foreign


def test_files_and_classes_are_short() -> None:
    long = [f"{named(file)}" for file in FILES if len(file.read_text(encoding="utf-8").splitlines()) > 400]
    assert not long
    classes = [
        f"{named(file)}:{node.lineno} {node.name} has {lines(node)} lines"
        for file, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and lines(node) > 300
    ]
    assert not classes


def test_functions_are_short() -> None:
    found = [(lines(node), f"{named(file)}:{node.name}") for file, tree in TREES.items() for node in functions(tree)]
    assert not [item for item in found if item[0] > 80]
    long = [item for item in found if item[0] > 40]
    assert len(long) <= len(found) / 10, sorted(long, reverse=True)
    sizes = sorted(size for size, _ in found)
    assert sizes[len(sizes) // 2] <= 12


def fresh(code: str) -> set[str]:
    """The top-level modules that are loaded after `code` ran in a new interpreter."""
    script = f"import sys\n{code}\nsys.stdout.write(' '.join(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_importing_the_package_is_light() -> None:
    assert not fresh("import metier") & HEAVY


def test_the_command_line_starts_light() -> None:
    assert not fresh("import metier.cli") & HEAVY_FOR_HELP


def test_few_public_names() -> None:
    import metier

    assert 0 < len(metier.__all__) <= 12
    for name in metier.__all__:
        assert getattr(metier, name) is not None
        assert name in dir(metier)
    with pytest.raises(AttributeError):
        _ = metier.no_such_name  # type: ignore[attr-defined]


def test_the_public_train_is_not_hidden_by_the_folder_of_that_name() -> None:
    fresh("import metier, metier.train.schedule, metier.model\nassert callable(metier.train), metier.train")
