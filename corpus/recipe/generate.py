"""The section `generate`: how many documents and chats are written, and how."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from corpus.recipe.base import RecipePath, Section


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
    by_genre: dict[str, GenreSettings] = Field({})
    """Sampling and length of single genres."""
    variants: PositiveInt = 1
    """Documents written from each clause, genre and idea (documents); they count towards `documents`."""
    small_model: bool = False
    """For models too small for long guidance: a short prompt, and every text is one paragraph; a document goes on from
    its idea's situation. A server has to know `continue_final_message` and `min_tokens`, as vLLM's own does."""
    small_model_quotes: bool = False
    """Whether a small model's document has its clause, word for word, after its idea's situation, and goes on for
    one sentence: a model too small to keep to a clause still says what the spec says. The words are part of the
    document. A server has to know `include_stop_str_in_output` too."""
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
    def _quotes(self) -> Generate:
        if self.small_model_quotes and not (self.small_model and self.outline == "clauses"):
            raise ValueError("small_model_quotes: quotes are for small_model with outline: clauses; leave it out")
        return self

    @model_validator(mode="after")
    def _pairs(self) -> Generate:
        if self.preferences and self.preference_pairs is None:
            raise ValueError(
                f"preferences: {self.preferences} chats, but preference_pairs names no file of pairs to prefer between"
            )
        return self
