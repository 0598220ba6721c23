"""A scenario set and its drafts, as a service answers them."""

from typing import Any

from esrp.api import (
    CellTally,
    GridCoverage,
    RunError,
    ScenarioDraft,
    ScenarioProgress,
    ScenarioSetDetail,
    ScenarioSetLinks,
    Tally,
    Usage,
)
from esrp.grid import Grid
from tests.client.fake_api import Answer

SET = "scs_1"


def scenario_set(status: Any = "succeeded", **progress: int) -> Answer:
    """A set of four scenarios: one persona, two emotions, one place, two of each."""
    final = status in ("succeeded", "failed")
    tally = Tally(planned=2, written=2 if status == "succeeded" else 0)
    cells = [
        CellTally(persona="student", emotion=emotion, location="canteen", **tally.model_dump())
        for emotion in ("happy", "sad")
    ]
    document = ScenarioSetDetail(
        id=SET,
        name="a set\x1b[2J",
        language="zh",
        status=status,
        grid=Grid(personas=("student",), emotions=("happy", "sad"), locations={"student": ("canteen",)}),
        writer="writer",
        created_at="2026-05-01T10:00:00Z",
        finished_at="2026-05-01T10:01:00Z" if final else None,
        progress=ScenarioProgress(planned=4, **progress),
        usage=Usage(),
        error=RunError(code="nothing_written", message="The writer refused the key.") if status == "failed" else None,
        links=ScenarioSetLinks(self="/", scenarios="/", select="/"),
        coverage=GridCoverage(
            cells=cells, personas={"student": tally}, emotions={"happy": tally, "sad": tally}, locations={}
        ),
    )
    return Answer(document.model_dump(mode="json"))


def drafts(*changes: dict[str, Any]) -> Answer:
    """The set's drafts: two happy ones and two sad ones, each changed as told."""
    documents = []
    for place, change in enumerate((*changes, *[{}] * (4 - len(changes)))):
        draft = {
            "id": f"scn_{place}",
            "persona": "student",
            "emotion": "happy" if place < 2 else "sad",
            "location": "canteen",
            "number": place % 2 + 1,
            "state": "written",
            "event": f"Event {place}.",
            "question": f"Question {place}?",
            "near_duplicate_of": None,
            "similarity": 0.0,
            "selected": False,
            "attempts": 1,
            "raw": None,
            "error": None,
            **change,
        }
        documents.append(ScenarioDraft.model_validate(draft).model_dump(mode="json"))
    return Answer({"data": documents, "next_cursor": None})
