"""The recipe: one YAML file that says everything a run does, read into frozen models.

Unknown keys are refused with the nearest known one. The settings of one filter or one eval task are checked by
their own room when a verb of that room loads the recipe.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, NonNegativeInt, model_validator

from corpus.errors import nearest
from corpus.recipe.base import Name, Section, Settings, names_of
from corpus.recipe.curate import Curate, Duplicates
from corpus.recipe.engine import EngineSettings
from corpus.recipe.evaluate import Contrast, Eval
from corpus.recipe.generate import Generate, GenreSettings
from corpus.recipe.imports import Imports
from corpus.recipe.mix import Member, Mix, every_mix
from corpus.recipe.spec import HoldOut, Spec
from corpus.recipe.train import Lora, StageSettings, Train
from corpus.store.identity import content_id

__all__ = [
    "Contrast",
    "Curate",
    "Duplicates",
    "EngineSettings",
    "Eval",
    "Generate",
    "GenreSettings",
    "HoldOut",
    "Imports",
    "Lora",
    "Member",
    "Mix",
    "Recipe",
    "Section",
    "Settings",
    "Spec",
    "StageSettings",
    "Train",
]


class Recipe(Section):
    """Everything a run does."""

    name: Name
    """The run's name: its folder under `runs`."""
    runs: Path = Path("runs")
    """Where runs live; the only path that is relative to the working directory."""
    seed: NonNegativeInt = 17
    """Every random choice of the run is drawn from it."""
    spec: Spec | None = None
    """Left out: a run of imported rows."""
    engine: EngineSettings = EngineSettings()
    """The engine that writes documents and chats."""
    engines: dict[Name, EngineSettings] = Field({})
    """Other engines, by name: one that a filter asks, such as `judge`. One that nothing names is refused."""
    generate: Generate = Generate()
    """How many documents and chats, and how."""
    imports: Imports = Imports()
    """What becomes of imported rows that cannot be used."""
    curate: Curate = Curate()
    """Filters and duplicates."""
    mixes: dict[Name, Mix] = Field({})
    """Named sets to train on."""
    train: Train = Train()
    """Base model, adapter, stages."""
    arms: dict[Name, list[str]] = Field({})
    """What is compared: each arm is a chain of stages; an empty chain is the base model."""
    eval: Eval = Eval()
    """Tasks."""

    @model_validator(mode="after")
    def _references(self) -> Recipe:
        for arm, chain in self.arms.items():
            for stage in chain:
                if stage not in self.train.stages:
                    raise ValueError(
                        f"arms.{arm} names the stage '{stage}'; train.stages has {names_of(self.train.stages)}"
                    )
        mixes = self.every_mix()
        for name, settings in self.train.stages.items():
            if ":" not in settings.data and settings.data not in mixes:
                raise ValueError(
                    f"train.stages.{name}.data names the mix '{settings.data}'; mixes has {names_of(mixes)}"
                )
        for name, engine in self.curate.engines().items():
            if engine not in self.engines:
                raise ValueError(
                    f"curate.filters: {name} names the engine '{engine}'; engines has {names_of(self.engines)}"
                )
        return self

    @model_validator(mode="after")
    def _eval_references(self) -> Recipe:
        for place, contrast in enumerate(self.eval.contrasts):
            for role, arm in (("arm", contrast.arm), ("against", contrast.against)):
                if arm not in self.arms:
                    raise ValueError(f"eval.contrasts[{place}].{role} names '{arm}'; {nearest(arm, self.arms)}")
            if contrast.arm == contrast.against:
                raise ValueError(f"eval.contrasts[{place}] compares '{contrast.arm}' with itself; name two arms")
        if self.eval.judge is not None and self.eval.judge not in self.engines:
            raise ValueError(
                f"eval.judge names the engine '{self.eval.judge}'; engines has {names_of(self.engines)}: add it there"
            )
        return self

    @model_validator(mode="after")
    def _nothing_unread(self) -> Recipe:
        """Refuse what no room reads yet: a run that ignores a setting would look as if it had followed it."""
        idle = self.engines.keys() - self.curate.engines().values() - {self.eval.judge}
        if idle:
            raise ValueError(
                f"engines ({names_of(dict.fromkeys(idle))}): nothing would use it; name it in a filter, as in "
                "curate.filters: [judge: {engine: NAME}], or as eval.judge, or leave it out"
            )
        return self

    def every_mix(self) -> dict[str, Member]:
        """The mixes by name, with those that `ablate` adds."""
        return every_mix(self.mixes, self.generate.genres)

    def recipe_hash(self) -> str:
        """Hash of everything but the places on this machine; a run's spec is kept in a file named by its content."""
        settings = self.model_dump(mode="json", exclude={"runs": True, "spec": {"path"}})
        return content_id("recipe", settings, self.spec.path.name if self.spec else None)
