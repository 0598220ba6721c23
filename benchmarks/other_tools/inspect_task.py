"""The dialogues as an Inspect AI task: a solver plays two rounds with a simulated user, a scorer asks the judge."""

# mypy: ignore-errors
# inspect-ai is installed in an environment of its own, so its decorators have no types where this is checked.

from functools import cache

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    GenerateConfig,
    get_model,
)
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver

from benchmarks.other_tools.work import METRICS, SCORE, TALK, Messages, Work, load, scores

KINDS = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}


@task
def esrp() -> Task:
    """Every dialogue is a sample."""
    samples = [Sample(id=each.id, input=chat(each.first())) for each in work().values()]
    return Task(
        dataset=MemoryDataset(samples), solver=two_rounds(), scorer=nine_scores(), config=GenerateConfig(**TALK)
    )


@solver
def two_rounds() -> Solver:
    """The candidate, the simulator, the candidate."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        state = await generate(state)
        a1 = state.output.completion
        simulator = get_model(role="simulator")
        q2 = (await simulator.generate(chat(work()[state.sample_id].ask(a1)), config=GenerateConfig(**TALK))).completion
        state.messages.append(ChatMessageUser(content=q2))
        state.store.set("said", (a1, q2))
        return await generate(state)

    return solve


@scorer(metrics={metric: [mean()] for metric in METRICS})
def nine_scores() -> Scorer:
    """One verdict of the judge on the whole dialogue."""

    async def score(state: TaskState, target: Target) -> Score:
        (a1, q2), a2 = state.store.get("said"), state.output.completion
        messages = chat(work()[state.sample_id].rate(a1, q2, a2))
        verdict = await get_model(role="judge").generate(messages, config=GenerateConfig(**SCORE))
        return Score(value=scores(verdict.completion), answer=a2)

    return score


@cache
def work() -> dict[str, Work]:
    """All dialogues by id: no argument of solver and scorer, which Inspect would write into its log again and again."""
    return {each.id: each for each in load()}


def chat(messages: Messages) -> list[ChatMessage]:
    """The messages in Inspect's own types."""
    return [KINDS[message["role"]](content=message["content"]) for message in messages]
