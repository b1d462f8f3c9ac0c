"""A prompt is a Markdown file with a comment, an optional `## system` and a `## user` part, in Jinja2.

Rendering is strict both ways, and only the file is a template: a value is data, whatever it holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypedDict

from jinja2 import StrictUndefined, Template, TemplateRuntimeError, TemplateSyntaxError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from prompts.sections import PromptError, Section, at, read_hashed, split_sections

HOME = Path(__file__).parent

# No loader: a template can include nothing, and nothing can be loaded by a name that a user or a model wrote.
_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
)


class Message(TypedDict):
    """One turn, in the form that every chat engine takes."""

    role: Literal["system", "user"]
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt file, parsed."""

    name: str
    """The file's name without `.md`."""
    about: str
    """The comment at the file's head: what the prompt is for, and its variables."""
    system: str
    """Template of the system message; "" where the file has none."""
    user: str
    """Template of the user message."""
    hash: str
    """"b2:" and the blake2b-128 hex of the file's bytes."""
    variables: frozenset[str]
    """The names that `render` takes: these, all of them, and no other."""

    def render(self, **values: object) -> list[Message]:
        """The messages: system, if the prompt has one, then user; each value goes in verbatim.

        Raises:
            PromptError: a missing or an extra name, or a value without what the template asks of it.
        """
        self._check(values)
        user: Message = {"role": "user", "content": self._fill(self.user, values)}
        if not self.system:
            return [user]
        return [{"role": "system", "content": self._fill(self.system, values)}, user]

    def text(self, **values: object) -> str:
        """The text of a note that stands inside another prompt, such as a stance; raises as `render` does."""
        assert not self.system, f"{self.name} has a system part: it is a prompt to render, not a note"
        self._check(values)
        return self._fill(self.user, values)

    def _check(self, values: dict[str, object]) -> None:
        wrong = {"missing": self.variables - values.keys(), "extra": values.keys() - self.variables}
        problems = [f"{kind} {', '.join(sorted(found))}" for kind, found in wrong.items() if found]
        if problems:
            takes = ", ".join(sorted(self.variables)) or "no values"
            raise PromptError(f"prompt {self.name!r}: {'; '.join(problems)}; it takes {takes}")

    def _fill(self, source: str, values: dict[str, object]) -> str:
        try:
            return _compiled(source).render(values)
        except TemplateRuntimeError as error:
            raise PromptError(f"prompt {self.name!r} does not suit a value: {error.message}") from error


def fence(text: str) -> str:
    """A line to put before and after a text that is only material: the text cannot end itself with it."""
    line = "=" * 16
    while line in text:
        line += "="
    return line


def names(folder: Path = HOME) -> list[str]:
    """The prompts that there are, sorted."""
    return sorted(path.stem for path in folder.glob("*.md"))


def load(name: str, folder: Path = HOME) -> Prompt:
    """The prompt in `name`.md.

    Raises:
        PromptError: no such prompt (the message lists those there are), or a broken file (it names the line).
    """
    path = folder / f"{name}.md"
    if path.parent != folder or not path.is_file():
        raise PromptError(f"no prompt {name!r}; there are {', '.join(names(folder))}")
    return _parsed(path, *read_hashed(path))


@lru_cache(maxsize=256)
def _parsed(path: Path, text: str, digest: str) -> Prompt:
    head, closed, rest = text.partition("#}")
    if not (head.startswith("{#") and closed):
        raise at(path, 1, "a prompt starts with a comment, {# ... #}, that says what it is for; add one")
    parts = split_sections(path, rest, head.count("\n") + 1, ("system", "user"))
    user = parts.get("user")
    if user is None or not user.text:
        raise at(path, text.count("\n") + 1, "no '## user' part with text; a prompt needs one")
    system = parts.get("system", Section(1, ""))
    variables = _variables(path, system) | _variables(path, user)
    return Prompt(path.stem, head.removeprefix("{#").strip(), system.text, user.text, digest, variables)


def _variables(path: Path, part: Section) -> frozenset[str]:
    try:
        return frozenset(meta.find_undeclared_variables(_ENVIRONMENT.parse(part.text)))
    except TemplateSyntaxError as error:
        raise at(path, part.line + error.lineno - 1, f"{error.message}; mend the template") from error


@lru_cache(maxsize=256)
def _compiled(source: str) -> Template:
    return _ENVIRONMENT.from_string(source)
