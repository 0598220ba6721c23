import asyncio
import os
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE

from esrp.metrics import METRIC_IDS
from tests.stack.processes import PATIENCE

COMMAND = (sys.executable, "-P", "-m", "services.stack", "demo", "--keep")


async def test_the_demo_prints_both_reports_what_moved_and_the_gates_verdict_and_stays_up_if_asked() -> None:
    # Servers and models of the user's own have no part in it.
    environment = {**os.environ, "ESRP_DATABASE_URL": "postgresql+asyncpg://nowhere/", "ESRP_SIMULATOR__MODEL": "mine"}
    with tempfile.TemporaryDirectory(prefix="demo") as temporary:
        environment["TMPDIR"] = temporary
        demo = await asyncio.create_subprocess_exec(*COMMAND, env=environment, stdout=PIPE, stderr=PIPE)
        assert demo.stdout is not None
        lines: list[str] = []
        async with asyncio.timeout(4 * PATIENCE):
            while not lines or not lines[-1].startswith("API key: "):
                line = (await demo.stdout.readline()).decode()
                assert line, (await demo.communicate())[1].decode()
                lines.append(line.rstrip("\n"))

        demo.send_signal(signal.SIGINT)
        await demo.communicate()

        assert demo.returncode == 0
        assert os.listdir(temporary) == []
    assert "RECORDINGS" in lines[0]
    assert "release-a: succeeded, 24 of 24 dialogues played, 24 judged" in lines
    assert "release-b: succeeded, 24 of 24 dialogues played, 24 judged" in lines
    compared = lines[: lines.index("May release-b replace release-a?")]
    first_words = [line.split()[0] for line in compared if line]
    assert [word for word in first_words if word in METRIC_IDS] == list(METRIC_IDS)
    assert "Up: emotional_value, demand_matching" in lines
    assert "Down: character_knowledge, speaking_style, experience_sharing" in lines
    assert "gate smoke@1: FAIL" in lines
    assert "speaking_style is 2.12 below the baseline; the policy allows 0.3." in lines
