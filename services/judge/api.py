"""What the judge answers the other services."""

from fastapi import APIRouter

from esrp.api import JudgeOut
from services.judge.resources import Resources


def routes(resources: Resources) -> APIRouter:
    """``/internal/``: for the gateway only."""
    router = APIRouter(prefix="/internal")

    @router.get("/judges")
    async def list_judges() -> list[JudgeOut]:
        """The judges that this process is configured with."""
        return [
            JudgeOut(id=f"jdg_{judge.name}", name=judge.name, kind=judge.kind, model=judge.model, validated=False)
            for judge in resources.settings.judges
        ]

    return router
