"""How a fastText classifier of a run's own rows is trained."""

from __future__ import annotations

from pydantic import Field, PositiveInt

from corpus.recipe import Section


class FastTextSettings(Section):
    """What every filter that trains fastText may be told of the training."""

    seed: int = 0
    """fastText's seed; with its one thread it makes training repeatable."""
    epochs: PositiveInt = 25
    """Passes over the rows that are learned from (fastText's tutorial: 5 to 50)."""
    learning_rate: float = Field(0.5, gt=0, le=5)
    """Halved when training meets a number that is none (fastText's tutorial: 0.1 to 1.0)."""
    dim: PositiveInt = 32
    """Width of a word's vector; with few labels more only costs memory (ours)."""
    buckets: PositiveInt = 200_000
    """Hash buckets of the word pairs: 32 x 4 bytes each, 26 MB in all (ours; fastText: 2,000,000)."""
    ngram_words: PositiveInt = 2
    """Longest word sequence that is a feature (words; fastText's tutorial: 2)."""

    def fasttext_parameters(self) -> dict[str, float]:
        """By fastText's names."""
        return {
            "seed": self.seed,
            "epoch": self.epochs,
            "lr": self.learning_rate,
            "dim": self.dim,
            "bucket": self.buckets,
            "wordNgrams": self.ngram_words,
        }
