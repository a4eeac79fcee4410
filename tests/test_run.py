"""The run folder: whole or not there, and never silently wrong."""

import errno
import json
import subprocess
import sys

import pytest

from metier import run
from metier.errors import RunError
from metier.run import Run


def sealed(path, content="weights"):
    staged = run.stage(path)
    run.write_text(staged / "model.safetensors", content)
    (staged / "deep").mkdir()
    run.write_text(staged / "deep" / "file", "x")
    return run.seal(path, {"metier": "0"})


def test_sealed_and_opened(tmp_path):
    made = sealed(tmp_path / "a")
    opened = Run.open(tmp_path / "a")
    assert opened.manifest == made.manifest and opened.version == made.version
    assert set(opened.manifest["files"]) == {"model.safetensors", "deep/file"}
    assert not run.partial(tmp_path / "a").exists()
    assert sealed(tmp_path / "b", "other weights").version != made.version


@pytest.mark.parametrize(
    ("marker", "hint"),
    [("optimise.json", "the metier optimise that began it"), ("recipe.toml", "metier train --resume")],
)
def test_what_finishes_an_unfinished_run_is_named(tmp_path, marker, hint):
    staged = run.stage(tmp_path / "a")
    run.write_text(staged / marker, "{}")
    (staged / run.CHECKPOINT).mkdir()
    run.write_text(staged / run.CHECKPOINT / "1.safetensors", "weights")
    for refused in (Run.open, run.clear):
        with pytest.raises(RunError, match=hint):
            refused(tmp_path / "a")


def test_one_flipped_bit_is_found(tmp_path):
    sealed(tmp_path / "a")
    file = tmp_path / "a" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[3] ^= 1
    file.write_bytes(content)
    with pytest.raises(RunError, match=r"damaged: model\.safetensors has changed"):
        Run.open(tmp_path / "a")


def test_a_missing_file_is_named(tmp_path):
    sealed(tmp_path / "a")
    (tmp_path / "a" / "deep" / "file").unlink()
    with pytest.raises(RunError, match="deep/file is missing"):
        Run.open(tmp_path / "a")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"format": 99, "files": {}}', "another format"),
        ('{"format": 1, "files": {"../outside": "0"}}', "another format"),
        ('{"format": 1, "files": {"/etc/passwd": "0"}}', "another format"),
        ('{"format": 1, "files": []}', "another format"),
    ],
)
def test_a_broken_manifest(tmp_path, content, message):
    sealed(tmp_path / "a")
    (tmp_path / "a" / run.MANIFEST).write_text(content)
    with pytest.raises(RunError, match=message):
        Run.open(tmp_path / "a")


def test_no_manifest_no_run(tmp_path):
    sealed(tmp_path / "a")
    (tmp_path / "a" / run.MANIFEST).unlink()
    with pytest.raises(RunError, match=r"manifest\.json, which is written last, is missing"):
        Run.open(tmp_path / "a")


def test_unfinished_and_unknown(tmp_path):
    sealed(tmp_path / "news")
    run.stage(tmp_path / "b")
    with pytest.raises(RunError, match="not finished.*--resume"):
        Run.open(tmp_path / "b")
    with pytest.raises(RunError, match="Did you mean 'news'"):
        Run.open(tmp_path / "newz")


def test_what_is_no_run_is_not_overwritten(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    with pytest.raises(RunError, match="exists and is not a run"):
        run.stage(tmp_path / "mine")
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match="exists and is not a run"):
        run.stage(tmp_path / "file")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years"


def full(*_arguments, **_keywords):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_the_old_run(tmp_path, monkeypatch):
    old = sealed(tmp_path / "a")
    staged = run.stage(tmp_path / "a")
    run.write_text(staged / "model.safetensors", "new")
    with monkeypatch.context() as patch:
        patch.setattr(run, "write_bytes", full)
        with pytest.raises(RunError, match="No space left on device"):
            run.seal(tmp_path / "a", {})
    assert Run.open(tmp_path / "a").version == old.version


def test_half_a_file_is_never_seen(tmp_path, monkeypatch):
    run.write_text(tmp_path / "f", "old")
    monkeypatch.setattr(run.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        run.write_text(tmp_path / "f", "new")
    assert (tmp_path / "f").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_a_replacement_that_was_cut_off_is_undone(tmp_path):
    old = sealed(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "a.replaced")
    assert Run.open(tmp_path / "a").version == old.version


def test_replaced_by_a_newer_one(tmp_path):
    old = sealed(tmp_path / "a")
    new = sealed(tmp_path / "a", "new")
    assert Run.open(tmp_path / "a").version == new.version != old.version
    assert [item.name for item in tmp_path.iterdir()] == ["a"]


def test_what_a_killed_writer_left_is_not_part_of_a_run(tmp_path):
    staged = run.stage(tmp_path / "a")
    run.write_text(staged / "model.safetensors", "weights")
    (staged / ".model.safetensors.12345").write_text("half")
    run.seal(tmp_path / "a", {})
    assert not (tmp_path / "a" / ".model.safetensors.12345").exists()
    assert list(Run.open(tmp_path / "a").manifest["files"]) == ["model.safetensors"]


def test_listing(tmp_path):
    assert list(run.listing(tmp_path / "nowhere")) == []
    sealed(tmp_path / "a")
    run.stage(tmp_path / "b")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / run.MANIFEST).write_text("{")
    (tmp_path / "notes").mkdir()
    found = {path.name: manifest is not None for path, manifest in run.listing(tmp_path)}
    assert found == {"a": True, "b.partial": False, "c": False}


def test_json(tmp_path):
    staged = run.stage(tmp_path / "a")
    run.write_text(staged / "labels.json", json.dumps({"é": ["中"]}))
    assert run.seal(tmp_path / "a", {}).json("labels.json") == {"é": ["中"]}


def test_two_processes_do_not_share_a_folder(tmp_path):
    staged = run.stage(tmp_path / "a")
    claim = f"import time; from pathlib import Path; from metier import run\nwith run.claimed(Path({str(staged)!r})):\n"
    other = subprocess.Popen([sys.executable, "-c", f"{claim}    print('mine', flush=True); time.sleep(60)"], stdout=-1)
    try:
        assert other.stdout.readline() == b"mine\n"
        with pytest.raises(RunError, match="Another process is writing"), run.claimed(staged):
            pass
    finally:
        other.kill()
        other.communicate()
    with run.claimed(staged):  # the dead claim nothing
        assert staged.is_dir()


def test_an_unfinished_fit_is_not_thrown_away(tmp_path):
    staged = run.stage(tmp_path / "a")
    run.write_text(staged / run.RECIPE, "")
    run.clear(tmp_path / "a")
    assert list(staged.iterdir()) == []
    (staged / run.CHECKPOINT).mkdir()
    (staged / run.CHECKPOINT / "fit.safetensors").touch()
    with pytest.raises(RunError, match=r"unfinished fit.*--resume"):
        run.clear(tmp_path / "a")


def test_what_is_no_unfinished_run_is_not_removed(tmp_path):
    staged = run.stage(tmp_path / "a")
    (staged / "precious.txt").touch()
    with pytest.raises(RunError, match="no unfinished run"):
        run.clear(tmp_path / "a")
    assert (staged / "precious.txt").exists()
