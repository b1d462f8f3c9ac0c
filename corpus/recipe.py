"""The recipe: one YAML file that says everything a run does, read into frozen models.

Unknown keys are refused with the nearest known one. The settings of one filter or one eval task are checked by
their own room when a verb of that room loads the recipe.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationInfo,
    model_validator,
)

from corpus.store.identity import content_id

Settings = Mapping[str, object]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")]
"""Names become folders: letters, digits, '.', '_', '+' and '-'."""
StageName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""As other names, without the '+' that joins stages to a chain."""


def _beside_recipe(value: Path, info: ValidationInfo) -> Path:
    base = (info.context or {}).get("base")
    return (Path(base) / value.expanduser()).resolve() if base else value


def _model_beside_recipe(value: str, info: ValidationInfo) -> str:
    """A model written as a path ('./x', '../x', '/x', '~/x') is one beside the recipe; anything else is a name."""
    return str(_beside_recipe(Path(value), info)) if value.startswith((".", "/", "~")) else value


def _filter_models_beside_recipe(
    value: list[str | dict[str, Settings | None]], info: ValidationInfo
) -> list[str | dict[str, Settings | None]]:
    """The settings of filters are checked by their room, which no longer knows where the recipe was."""

    def placed(settings: Settings | None) -> Settings | None:
        model = settings.get("model") if settings else None
        if not settings or not isinstance(model, str):
            return settings
        return {**settings, "model": _model_beside_recipe(model, info)}

    return [
        entry if isinstance(entry, str) else {name: placed(settings) for name, settings in entry.items()}
        for entry in value
    ]


FilterEntries = Annotated[list[str | dict[str, Settings | None]], AfterValidator(_filter_models_beside_recipe)]
RecipePath = Annotated[Path, AfterValidator(_beside_recipe)]
ModelName = Annotated[str, AfterValidator(_model_beside_recipe)]


class Section(BaseModel):
    """What every part of a recipe shares: frozen, no unknown keys, docstrings as descriptions."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, protected_namespaces=())


class HoldOut(Section):
    """Which clauses no prompt ever shows."""

    fraction: float = Field(0.1, ge=0, lt=1)
    """Share of the clauses that get briefs which is held out (fraction; 0.1 as in most held-out splits)."""


class Spec(Section):
    """The document that says how the assistant should behave."""

    path: RecipePath
    """The spec's file: Markdown or plain text, UTF-8, at most 4 MiB."""
    model_name: str = "the assistant"
    """What the documents call the assistant."""
    provider_name: str = "its developer"
    """What the documents call those who make it."""
    hold_out: HoldOut = HoldOut()
    """Held-out clauses: chosen before anything is written."""


class EngineSettings(Section):
    """What writes: vLLM in this process, or any server that speaks the OpenAI protocol."""

    kind: Literal["vllm", "openai"] = "vllm"
    """`vllm` runs in process; `openai` is any compatible server."""
    model: ModelName = "builtin:smollm2-135m"
    """A hub id, a folder, or a builtin model."""
    revision: str | None = None
    """The hub revision (commit) of the model; recorded in every brief."""
    base_url: str | None = None
    """Where the server listens (`openai` only), up to and with `/v1`."""
    api_key_env: str = "OPENAI_API_KEY"
    """The environment variable that holds the key; the key itself is never written."""
    adapter: ModelName | None = None
    """A LoRA adapter that writes in the model's place (`vllm` only): a folder as peft saves it."""
    max_in_flight: PositiveInt | None = None
    """Requests that are open at the same time (requests). null: what vLLM decodes together and an eighth more, so
    that it never waits; 256 for a server."""
    timeout_seconds: PositiveFloat = 300.0
    """Deadline of one request (seconds); the published code's 300 s per attempt."""
    max_retries: NonNegativeInt = 4
    """Retries of one request after a transport failure or a busy server, with jitter (retries)."""
    trust_remote_code: bool = False
    """Whether code that comes with a model may run here."""
    options: dict[str, object] = {}
    """Handed to the engine as they are: `tensor_parallel_size`, `max_model_len`, ..."""

    @model_validator(mode="after")
    def _needs_a_server(self) -> EngineSettings:
        if self.kind == "openai" and not self.base_url:
            raise ValueError("kind: openai needs base_url, such as http://127.0.0.1:8000/v1")
        if self.kind == "openai" and self.adapter:
            raise ValueError(f"adapter ({self.adapter}): a server serves an adapter as a model; give its name as model")
        return self


class GenreSettings(Section):
    """What differs for one genre; what is left out is the card's own, else the section's."""

    temperature: float | None = Field(None, ge=0, le=2)
    """Sampling temperature."""
    top_p: float | None = Field(None, gt=0, le=1)
    """Nucleus of the sampling."""
    min_p: float | None = Field(None, ge=0, le=1)
    """Least share of the best token's probability that is sampled from."""
    target_words: PositiveInt | None = None
    """Longest text asked for (words), in place of the card's scaled length."""
    max_tokens: PositiveInt | None = None
    """Longest document (tokens of the engine's model)."""


class Generate(Section):
    """How many documents and chats are written, and how."""

    outline: Literal["clauses", "model"] = "clauses"
    """How briefs come about: `clauses` composes them from clause, genre and idea, without model calls; `model` asks
    for domains, subdomains, assertions, genres and ideas, one after the other."""
    outline_section_tokens: PositiveInt = 3000
    """Longest piece of the spec that one outline call shows (tokens, estimated); fits a context of 8,192 with the
    reply."""
    outline_max_tokens: PositiveInt = 3000
    """Longest reply of one outline call (tokens of the engine's model)."""
    outline_temperature: float = Field(0.8, ge=0, le=2)
    """Sampling temperature of the outline; 0.8 is the published code's default."""
    genres_per_subdomain: PositiveInt = 20
    """Genres that the model chooses for each subdomain (genres; the published script's 20), with `outline: model`."""
    ideas_per_call: PositiveInt = 5
    """Ideas asked for at once (ideas); the later calls of a subdomain and genre show what the earlier ones gave."""
    excerpt_tokens: NonNegativeInt = 1500
    """Longest excerpt of the spec that prompts show around their own clause or assertions (tokens, estimated)."""
    stance: Literal["values", "rules"] = "values"
    """`values`: behaviour and the spec's own reasons; `rules`: compliance with the cited rules."""
    documents: NonNegativeInt = 200
    """Documents to write (briefs)."""
    chats: NonNegativeInt = 100
    """Chats to write (briefs)."""
    genres: dict[str, Annotated[float, Field(ge=0)]] | None = None
    """Weight of each genre; left out: the whole library, evenly."""
    genre_folder: RecipePath | None = None
    """A folder with genre cards of your own, beside the library's."""
    by_genre: dict[str, GenreSettings] = {}
    """Sampling and length of single genres."""
    variants: PositiveInt = 1
    """Documents written from each clause, genre and idea (documents); they count towards `documents`."""
    small_model: bool = False
    """For models too small for long guidance: a short prompt, and every text is one paragraph; a document goes on from
    its idea's situation. A server has to know `continue_final_message` and `min_tokens`, as vLLM's own does."""
    plan: bool = False
    """Whether a document's reply begins with a plan of it, between tags; for models that keep to tags."""
    rewrite: bool = False
    """Whether each document is criticised and written anew in a second call. Both versions are kept, linked by
    `parent_id`; the second one is curated."""
    avoid_recurring: bool = False
    """Whether documents are written in waves, each told the names, openings and phrases that recur in those before."""
    wave_documents: PositiveInt = 500
    """Documents of one wave, with `avoid_recurring` (documents; ours)."""
    reasoning: bool = False
    """Whether answers are asked for with reasoning before them. Each chat is then two rows, with and without it."""
    reasoning_max_tokens: PositiveInt = 600
    """Longest reasoning, beside `chat_max_tokens` for the answer (tokens of the engine's model)."""
    preferences: NonNegativeInt = 0
    """Chats to write in which the assistant states a preference and no reason (briefs)."""
    preference_pairs: RecipePath | None = None
    """A JSONL file with `liked` and `disliked` in each row: what `preferences` are about."""
    rounds: NonNegativeInt = 0
    """How often `specmill run` fills what curation removed, by clause and genre (rounds; the published code: 3)."""
    length_scale: PositiveFloat = 1.0
    """The genre cards' target lengths are multiplied by it (factor); small models end short texts more often."""
    max_tokens: PositiveInt = 800
    """Longest document (tokens of the engine's model)."""
    chat_max_tokens: PositiveInt = 300
    """Longest question or answer (tokens of the engine's model)."""
    temperature: float = Field(0.8, ge=0, le=2)
    """Sampling temperature; 0.8 is the published code's default."""
    min_p: float | None = Field(None, ge=0, le=1)
    """Least share of the best token's probability that is sampled from; null: off."""
    top_p: float | None = Field(None, gt=0, le=1)
    """Nucleus of the sampling; null: off."""
    frequency_penalty: float = Field(0.0, ge=-2, le=2)
    """Taken off a token's logit for each time it stands in the reply already; keeps small models from looping."""
    max_attempts: PositiveInt = 2
    """Replies asked for per brief before it counts as failed (replies)."""
    max_failed_fraction: float = Field(0.5, ge=0, le=1)
    """With more failed briefs than this share, the verb exits 3 (fraction)."""

    @model_validator(mode="after")
    def _weights(self) -> Generate:
        if self.genres is not None and sum(self.genres.values()) <= 0:
            raise ValueError(f"genres: the weights sum to 0 ({self.genres}); give at least one genre more than 0")
        return self

    @model_validator(mode="after")
    def _small(self) -> Generate:
        """The short prompts of small models have no tags, and small models no use for them."""
        asked = {"plan": self.plan, "rewrite": self.rewrite, "reasoning": self.reasoning}
        for key, value in asked.items():
            if self.small_model and value:
                raise ValueError(f"{key}: a small model keeps to no tags; leave out {key} or small_model")
        return self

    @model_validator(mode="after")
    def _pairs(self) -> Generate:
        if self.preferences and self.preference_pairs is None:
            raise ValueError(
                f"preferences: {self.preferences} chats, but preference_pairs names no file of pairs to prefer between"
            )
        return self


class Duplicates(Section):
    """Exact and near-duplicates."""

    shingle_words: PositiveInt = 5
    """Words in one shingle (words)."""
    bands: PositiveInt = 20
    """Bands of the signature."""
    rows: PositiveInt = 6
    """Rows of one band: with 20 bands a pair of Jaccard 0.8 becomes a candidate with p = 0.998."""
    min_jaccard: float = Field(0.8, gt=0, le=1)
    """Exact Jaccard of the shingle sets from which two texts are near-duplicates (fraction)."""


class Curate(Section):
    """Which filters judge the rows, and what makes two rows duplicates."""

    filters: FilterEntries = ["length", "repetition", "leaks"]
    """Names, or `name: {setting: value}`; each is checked by the filters room."""
    duplicates: Duplicates | None = Duplicates()
    """null: duplicates are not looked for."""
    unjudged: Literal["keep", "drop"] = "keep"
    """What becomes of a row that a filter could not judge; the report counts them."""

    def engines(self) -> dict[str, str]:
        """The engine that each filter names, of those that name one."""
        named = {
            name: (settings or {}).get("engine")
            for entry in self.filters
            if not isinstance(entry, str)
            for name, settings in entry.items()
        }
        return {name: engine for name, engine in named.items() if isinstance(engine, str)}


class Mix(Section):
    """One sampled set of rows, written as train-ready shards."""

    kind: Literal["documents", "chats"] = "documents"
    """What is mixed."""
    tokens: PositiveInt | None = None
    """Budget (tokens of `train.model`); null: everything once."""
    genres: dict[str, Annotated[float, Field(ge=0)]] | None = None
    """Share of each genre in the budget; null: as they come."""
    sets: dict[str, Annotated[float, Field(ge=0)]] | None = None
    """Share of each set (`generated` or an import's name) in the budget; null: as they come."""
    repeats: PositiveInt = 1
    """How often one row may stand in the mix, at most."""
    reasoning: Literal["with", "without", "both"] | None = None
    """Which of two chats that differ only in their reasoning is taken; null: there are no such chats."""
    shortfall: Literal["allow", "refuse"] = "refuse"
    """A budget larger than the corpus: `allow` takes what there is, `refuse` stops with a table of what is short."""

    @model_validator(mode="after")
    def _shares(self) -> Mix:
        for key, shares in (("genres", self.genres), ("sets", self.sets)):
            if shares is not None and sum(shares.values()) <= 0:
                raise ValueError(f"{key}: the shares sum to 0 ({shares}); give at least one more than 0")
        if self.kind == "chats" and self.genres is not None:
            raise ValueError("genres: chats have no genre; mix them by `sets`")
        if self.kind == "documents" and self.reasoning is not None:
            raise ValueError(f"reasoning ({self.reasoning}): documents have none; leave it out")
        return self


class Lora(Section):
    """A low-rank adapter instead of all weights."""

    rank: PositiveInt = 64
    """Rank (paper: 64)."""
    alpha: PositiveFloat = 128.0
    """Scale is alpha / rank (paper: 128)."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout on the adapter's input (paper: 0)."""


class StageSettings(Section):
    """One stage of training."""

    data: str
    """The mix it trains on."""
    epochs: PositiveInt = 1
    """Passes over the data (paper: 1)."""
    learning_rate: PositiveFloat = 1e-4
    """Peak learning rate (paper: 1e-4)."""
    seq_tokens: PositiveInt = 2048
    """Longest row (tokens)."""
    batch_tokens: PositiveInt = 1024
    """Tokens of one update, at least one row (tokens; unstated in the paper)."""
    warmup_fraction: float = Field(0.05, ge=0, lt=1)
    """Share of the updates with a rising learning rate (paper: 0.05)."""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW's weight decay (paper: 0.01)."""
    max_grad_norm: PositiveFloat = 1.0
    """Gradients are clipped to this norm (unstated in the paper; 1.0 by every replication)."""
    checkpoint_updates: PositiveInt = 50
    """Updates between two resumable checkpoints (updates)."""


class Train(Section):
    """What is trained, and how."""

    model: ModelName = "builtin:smollm2-135m"
    """The base model: a hub id, a folder, or a builtin. Its tokenizer counts every `num_tokens`."""
    revision: str | None = None
    """The hub revision (commit) of the base model."""
    trust_remote_code: bool = False
    """Whether code that comes with the model may run here."""
    lora: Lora | None = Lora()
    """null: full fine-tuning."""
    seeds: list[NonNegativeInt] = Field([0], min_length=1)
    """Training seeds: each arm is trained once with each."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Arithmetic of forward and backward; adapters and moments stay in fp32. `auto`: bf16 where the machine
    multiplies in it, else fp32."""
    stages: dict[StageName, StageSettings] = {}
    """The stages that arms are made of."""


class Eval(Section):
    """What is measured, on every arm."""

    tasks: list[str | dict[str, Settings | None]] = ["perplexity", "preference"]
    """Names, or `name: {setting: value}`; each is checked by the eval room."""
    samples: PositiveInt = 1
    """Sampled answers per item, for tasks that sample. No task does yet: more than 1 is refused."""
    judge: str | None = None
    """The engine of `engines` that judges. No task is judged yet: any is refused."""


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
    engines: dict[Name, EngineSettings] = {}
    """Other engines, by name: one that a filter asks, such as `judge`. One that nothing names is refused."""
    generate: Generate = Generate()
    """How many documents and chats, and how."""
    curate: Curate = Curate()
    """Filters and duplicates."""
    mixes: dict[Name, Mix] = {}
    """Named sets to train on."""
    train: Train = Train()
    """Base model, adapter, stages."""
    arms: dict[Name, list[str]] = {}
    """What is compared: each arm is a chain of stages; an empty chain is the base model."""
    eval: Eval = Eval()
    """Tasks."""

    @model_validator(mode="after")
    def _references(self) -> Recipe:
        for arm, chain in self.arms.items():
            for stage in chain:
                if stage not in self.train.stages:
                    raise ValueError(
                        f"arms.{arm} names the stage '{stage}'; train.stages has {_names(self.train.stages)}"
                    )
        for name, settings in self.train.stages.items():
            if ":" not in settings.data and settings.data not in self.mixes:
                raise ValueError(
                    f"train.stages.{name}.data names the mix '{settings.data}'; mixes has {_names(self.mixes)}"
                )
        for name, engine in self.curate.engines().items():
            if engine not in self.engines:
                raise ValueError(
                    f"curate.filters: {name} names the engine '{engine}'; engines has {_names(self.engines)}"
                )
        if self.eval.judge is not None and self.eval.judge not in self.engines:
            raise ValueError(f"eval.judge names the engine '{self.eval.judge}'; engines has {_names(self.engines)}")
        return self

    @model_validator(mode="after")
    def _nothing_unread(self) -> Recipe:
        """Refuse what no room reads yet: a run that ignores a setting would look as if it had followed it."""
        for key, value, default in (
            ("eval.samples", self.eval.samples, 1),
            ("eval.judge", self.eval.judge, None),
        ):
            if value != default:
                raise ValueError(f"{key} ({value}) is not implemented yet, and nothing would use it; leave it out")
        idle = self.engines.keys() - self.curate.engines().values()
        if idle:
            raise ValueError(
                f"engines ({_names(dict.fromkeys(idle))}): nothing would use it; name it in a filter, as in "
                "curate.filters: [judge: {engine: NAME}], or leave it out"
            )
        return self

    def recipe_hash(self) -> str:
        """Hash of everything but the places on this machine; a run's spec is kept in a file named by its content."""
        settings = self.model_dump(mode="json", exclude={"runs": True, "spec": {"path"}})
        return content_id("recipe", settings, self.spec.path.name if self.spec else None)


def _names(known: Mapping[str, object]) -> str:
    return ", ".join(sorted(known)) or "none"
