"""The recipe: a strict description of one run. TOML on disk, these classes in code, flags on the command line."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Self

import tomli_w
from pydantic import Field, model_validator

from metier.errors import RecipeError
from metier.recipe.mistakes import fill
from metier.recipe.parts import (
    AdapterPart,
    AugmentPart,
    ContrastivePart,
    DataPart,
    EnsemblePart,
    EvaluatePart,
    HeadPart,
    ModelPart,
    OptimisePart,
    Part,
    PromptPart,
    RacePart,
    RegularisePart,
    SemiPart,
    TrainPart,
)


class Recipe(Part):
    """The whole description of a run."""

    data: DataPart = DataPart()
    heads: dict[str, HeadPart] = Field(min_length=1)
    model: ModelPart = ModelPart()
    train: TrainPart = TrainPart()
    adapter: AdapterPart = AdapterPart()
    contrastive: ContrastivePart = ContrastivePart()
    regularise: RegularisePart = RegularisePart()
    augment: AugmentPart = AugmentPart()
    semi: SemiPart = SemiPart()
    prompt: PromptPart = PromptPart()
    ensemble: EnsemblePart = EnsemblePart()
    race: RacePart = RacePart()
    optimise: OptimisePart = OptimisePart()
    evaluate: EvaluatePart = EvaluatePart()
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 13

    @model_validator(mode="after")
    def _known_metric(self) -> Self:
        known = ("headline", "loss", *self.heads)
        if self.train.metric not in known:
            raise ValueError(f"train.metric is {self.train.metric!r}; it is one of {', '.join(known)}")
        return self

    @classmethod
    def parse(cls, values: dict[str, Any], source: str = "recipe") -> Recipe:
        """A recipe from nested tables. Raises one `RecipeError` that names every mistake in it."""
        return fill(cls, values, source)

    @classmethod
    def read(cls, path: str | Path) -> Recipe:
        """A recipe from a TOML file; the files of its data are understood relative to that file."""
        return cls.parse(read_tables(path), str(path)).beside(Path(path))

    def beside(self, path: Path) -> Recipe:
        """The recipe with its files of data understood relative to the file `path`, where they are there."""

        def found(file: str) -> str:
            there = path.parent / file
            return str(there) if there.exists() else file

        return self._moved(found)

    def seen_from(self, folder: Path) -> Recipe:
        """The recipe with its files of data, which are named as seen from here, named as seen from a folder."""
        return self._moved(lambda file: os.path.relpath(file, folder))

    def _moved(self, place: Callable[[str], str]) -> Recipe:
        """The recipe with other names for those of its files of data that are no absolute paths."""

        def moved(file: str) -> str:
            return place(file) if file and "://" not in file and not Path(file).is_absolute() else file

        heads = {name: {**head.model_dump(), "path": moved(head.path)} for name, head in self.heads.items()}
        return self.but(
            data={key: moved(getattr(self.data, key)) for key in ("path", "unlabelled", "interactions")}, heads=heads
        )

    def write(self, path: Path) -> None:
        """The resolved recipe as TOML, whole or not at all; keys that are `None` are left out."""
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        beside.write_bytes(tomli_w.dumps(self.model_dump(mode="json", exclude_none=True)).encode())
        beside.replace(path)

    def but(self, **parts: Any) -> Recipe:
        """A copy with some keys changed: `recipe.but(train={"epochs": 3}, seed=7)`. `None` changes nothing."""
        values = self.model_dump()
        for part, change in parts.items():
            if isinstance(change, dict):
                values[part] = {**values[part], **{key: item for key, item in change.items() if item is not None}}
            elif change is not None:
                values[part] = change
        return Recipe.parse(values, "flags")


def read_tables(path: str | Path) -> dict[str, Any]:
    """The tables of a TOML file, whatever is in them. Raises `RecipeError` where it cannot be read."""
    path = Path(path)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise RecipeError(f"There is no recipe {path}.") from None
    except OSError as error:
        raise RecipeError(f"{path} cannot be read: {error.strerror}.", expected="a recipe in TOML") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not TOML: {error}.") from None
