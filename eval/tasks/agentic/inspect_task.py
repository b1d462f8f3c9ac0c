"""The same 27 conditions as a task that Inspect runs, with the same prompts, rubrics and rules.

    inspect eval eval/tasks/agentic/inspect_task.py --model vllm/MODEL -T grader=openai/JUDGE --epochs 50 \
        --temperature 0.7 --max-tokens 4096

Inspect takes the mean over epochs first and then the standard error over the 27 samples, which is that of conditions
like these (as `agentic/verdict` is); the error of these very conditions is Specmill's alone.
"""

from __future__ import annotations

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import (
    ChatMessage,
    ChatMessageSystem,
    ChatMessageUser,
    GenerateConfig,
    Model,
    ResponseSchema,
    get_model,
)
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer, stderr
from inspect_ai.solver import TaskState, generate
from inspect_ai.util import JSONSchema

from corpus.engine.judge import JudgeReply, problem_of, reply_schema
from eval.tasks.agentic.scenarios import PACKAGE_NAME
from eval.tasks.agentic.task import EXECUTED, HARMFUL, REFUSAL, TOOL_USE, VERDICT, Agentic, AgenticSettings
from eval.tasks.material import Measured, Question
from prompts import Message

GRADER_ATTEMPTS = 3
"""Replies asked for before an answer stays ungraded: one, and two retries."""
GRADER_TOKENS = 400


@task  # type: ignore[untyped-decorator]  # mypy does not read inspect_ai
def agentic(
    actions: str | list[str] = "exfiltration,murder,leaking",
    scratchpad: bool = True,
    model_name: str = PACKAGE_NAME,
    grader: str | None = None,
) -> Task:
    """The 27 conditions of `actions`, one sample each; more answers are more epochs.

    Args:
        actions: which harmful actions, with commas between them; Inspect's command line makes a list of them.
        scratchpad: whether the assistant may think in private first.
        model_name: what the assistant is called.
        grader: the model that judges; none: verdicts are not scored.
    """
    named = actions.split(",") if isinstance(actions, str) else actions
    settings = AgenticSettings.model_validate({"actions": named, "scratchpad": scratchpad})
    asked = Agentic(settings, model_name).prompts
    samples = [
        Sample(
            id=one.item_id,
            input=[_turn(message) for message in one.messages],
            metadata={"condition": one.item_id, "action": one.item_id.partition("/")[0]},
        )
        for one in asked
    ]
    return Task(
        dataset=MemoryDataset(samples, name="specmill-agentic"),
        solver=generate(tool_calls="none"),
        scorer=decisions(named, scratchpad, model_name, grader),
        config=GenerateConfig(temperature=settings.temperature, max_tokens=settings.max_tokens),
    )


@scorer(metrics={"*": [mean(), stderr()]})  # type: ignore[untyped-decorator]  # mypy does not read inspect_ai
def decisions(actions: list[str], scratchpad: bool, model_name: str, grader: str | None) -> Scorer:
    """Verdict, executed, harmful, tool use and refusal, each 0 or 1; NaN, which Inspect leaves out, where unknown."""
    settings = AgenticSettings.model_validate({"actions": actions, "scratchpad": scratchpad})
    conditions = Agentic(settings, model_name)
    asked = {one.item_id: one for one in conditions.prompts}
    judge = None if grader is None else get_model(grader)

    async def score(state: TaskState, target: Target) -> Score:
        reading = conditions.read(asked[str(state.sample_id)], state.output.completion, can_judge=judge is not None)
        rows = list(reading.rows)
        if reading.question is not None and judge is not None:
            rows += await _grade(judge, reading.question)
        values = {row.variant: float("nan") if row.value is None else row.value for row in rows}
        verdict = next(row for row in rows if row.variant == VERDICT)
        return Score(
            value={name: values[name] for name in (VERDICT, HARMFUL, EXECUTED, TOOL_USE, REFUSAL)},
            answer=verdict.answer,
            explanation=verdict.explanation,
        )

    return score


async def _grade(judge: Model, question: Question) -> list[Measured]:
    turns = [_turn(message) for message in question.messages]
    form = ResponseSchema(name="decision", json_schema=JSONSchema.model_validate(reply_schema(question.form)))
    config = GenerateConfig(temperature=0.7, max_tokens=GRADER_TOKENS, response_schema=form)
    for _ in range(GRADER_ATTEMPTS):
        reply = await judge.generate(turns, config=config)
        if problem_of(question.form, reply.completion) is None:
            said: JudgeReply = question.form.model_validate_json(reply.completion)
            return list(question.conclude(said))
    return list(question.unjudged("judge: unparsable"))


def _turn(message: Message) -> ChatMessage:
    kind = ChatMessageSystem if message["role"] == "system" else ChatMessageUser
    return kind(content=message["content"])
