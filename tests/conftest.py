"""What every test may need: where the real data is, whether a browser is there, one thread a process."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# No test may depend on a hub: what is not on this machine is not there.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("MPLBACKEND", "Agg")

ROOT = Path(__file__).parent.parent
DATA = os.environ.get("METIER_TEST_DATA", "")

# The gate draws the same examples every time and on every machine; `make fuzz` draws new ones, many more of them.
settings.register_profile("gate", derandomize=True, deadline=None)
settings.register_profile("fuzz", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "gate"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips, with the reason, what this machine cannot run."""
    no_data = pytest.mark.skip(reason="METIER_TEST_DATA names no folder with the real data")
    no_browser = pytest.mark.skip(reason="there is no chromium on this machine")
    for item in items:
        if item.get_closest_marker("data") and not (DATA and Path(DATA).is_dir()):
            item.add_marker(no_data)
        if item.get_closest_marker("browser") and not shutil.which("chromium"):
            item.add_marker(no_browser)


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; skips where there is none (mark such tests `data`, too)."""
    if not (DATA and Path(DATA).is_dir()):
        pytest.skip("METIER_TEST_DATA names no folder with the real data")
    return Path(DATA)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Debian's Chromium, for Playwright's `executable_path`."""
    found = shutil.which("chromium")
    if not found:
        pytest.skip("there is no chromium on this machine")
    return found


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tokenised texts of the tests go where the tests go."""
    os.environ["METIER_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def toy_backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT with random weights, as a folder."""
    import toy

    return toy.backbone(tmp_path_factory.mktemp("toy") / "backbone")


@pytest.fixture(scope="session")
def toy_news(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV file with the heads `sentiment` and `place` and a split."""
    import toy

    return toy.news(tmp_path_factory.mktemp("toy") / "news.csv")


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory: pytest.TempPathFactory, toy_backbone: Path, toy_news: Path) -> Path:
    """A whole run with two heads on the tiny backbone."""
    import metier

    out = tmp_path_factory.mktemp("toy") / "run"
    settings = {
        "backbone": str(toy_backbone),
        "epochs": 12,
        "batch_size": 16,
        "learning_rate": 3e-3,
        "max_length": 32,
        "head_start": "probe",  # an encoder of random weights has little else to begin with
        "precision": "fp32",  # what is compared to the fifth digit is not the rounding of a processor that has bf16
    }
    return metier.train(toy_news, label=["sentiment", "place"], out=out, **settings).run
