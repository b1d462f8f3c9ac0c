"""The section `eval`: what is measured, on every arm, and what is compared."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, PositiveInt

from corpus.recipe.base import Name, Section, Settings, files_beside_recipe


class ArmEngine(Section):
    """vLLM as it serves the arms: the base model of `train`, with each arm's adapter."""

    max_in_flight: PositiveInt | None = None
    """Requests that are open at the same time (requests); null: what vLLM decodes together and an eighth more."""
    options: dict[str, object] = Field({})
    """Handed to vLLM as they are: `tensor_parallel_size`, `max_model_len`, ..."""


class JudgeSampling(Section):
    """How the judge's replies are drawn, and how often it is asked."""

    temperature: float = Field(0.7, ge=0, le=2)
    """Sampling temperature (ours); at 0 a second grade would only repeat the first, and so would another attempt."""
    max_tokens: PositiveInt = 400
    """Longest reply (tokens of the judge's model)."""
    max_attempts: PositiveInt = 3
    """Replies asked for per answer before it stays ungraded (replies): one, and two retries."""
    twice_fraction: float = Field(0.05, ge=0, le=1)
    """Share of the answers that are graded a second time, for the agreement (fraction). The first grade counts."""


class Contrast(Section):
    """One comparison that is declared before anything is measured."""

    arm: str
    """The arm of which the other is subtracted."""
    against: str
    """The arm that is subtracted."""
    metric: str
    """`TASK/...`, such as `preference/sum/log_odds`."""
    less: str | None = None
    """A second metric, whose difference between the same two arms is taken off: a difference in differences. What an
    arm does to both alike, such as liking an option less that both kinds of items share, cancels."""


class Eval(Section):
    """What is measured, on every arm."""

    tasks: Annotated[list[str | dict[str, Settings | None]], AfterValidator(files_beside_recipe)] = Field(
        ["perplexity", "preference"]
    )
    """Names, or `name: {setting: value}`; each is checked by the eval room. A task with a name of its own says its
    `kind`."""
    samples: PositiveInt | None = None
    """Sampled answers per prompt, for tasks that sample (answers). null: each kind's own, 50 for `agentic`, else 1."""
    engine: ArmEngine = ArmEngine()
    """How the arms answer, for tasks that sample."""
    judge: Name | None = None
    """The engine of `engines` that judges. null: what only a judge can tell stays ungraded."""
    judging: JudgeSampling = JudgeSampling()
    """How the judge is asked."""
    contrasts: list[Contrast] = Field([])
    """The comparisons that the run is for. Their p-values are corrected for their number (Holm); all others are
    exploratory."""
