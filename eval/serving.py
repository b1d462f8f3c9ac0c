"""How vLLM serves an arm: the base model with the arm's adapter, and the tokenizer that scores it."""

from __future__ import annotations

from pathlib import Path

from corpus.recipe import EngineSettings, Recipe
from eval.trained import TrainedArm
from train.scoring import serve_trained


def serve_arm(recipe: Recipe, one: TrainedArm, folder: Path) -> EngineSettings:
    """The engine of an arm; its tokenizer is saved into `folder`, which the engine reads when it starts.

    Raises:
        SetupError: the base model is not there.
    """
    model, adapter, tokenizer = serve_trained(recipe, one.checkpoint, folder)
    engine = recipe.eval.engine
    return EngineSettings(
        kind="vllm",
        model=model,
        revision=recipe.train.revision,
        adapter=None if adapter is None else str(adapter),
        max_in_flight=engine.max_in_flight,
        trust_remote_code=recipe.train.trust_remote_code,
        options={"tokenizer": str(tokenizer), **engine.options},
    )
