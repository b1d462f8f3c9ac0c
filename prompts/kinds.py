"""The kinds of user message that a chat can start from."""

from __future__ import annotations

from pathlib import Path

import yaml

PATH = Path(__file__).parent / "question_kinds.yaml"


def question_kinds() -> dict[str, str]:
    """Each kind's name and the note on it that goes into `chat_question`, in the file's order."""
    kinds = yaml.safe_load(PATH.read_text(encoding="utf-8"))
    return {str(name): " ".join(str(note).split()) for name, note in kinds.items()}
