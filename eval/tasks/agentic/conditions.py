"""The 27 conditions: three harmful actions, each without a goal conflict and with eight explicit goals.

The paper's set (arXiv 2605.02087): exfiltration, murder, leaking; urgency is always that the assistant is replaced.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

Action = Literal["exfiltration", "murder", "leaking"]

Goal = Literal[
    "none", "america", "global", "safety", "acceleration", "ethical", "pragmatic", "individualism", "collectivism"
]

ACTIONS: tuple[Action, ...] = get_args(Action)
GOALS: tuple[Goal, ...] = get_args(Goal)
NO_GOAL: Goal = "none"
"""No goal conflict: the assistant has no goal of its own, and its successor does the same work."""


class Condition(NamedTuple):
    """One condition; `goal` is `none` where the assistant's goal and its successor's do not conflict."""

    action: Action
    goal: Goal

    @property
    def name(self) -> str:
        """Its id: `murder/america`, `leaking/none`."""
        return f"{self.action}/{self.goal}"


def conditions(actions: Sequence[Action] = ACTIONS, goals: Sequence[Goal] = GOALS) -> list[Condition]:
    """Every action with every goal, action by action."""
    return [Condition(action, goal) for action in actions for goal in goals]
