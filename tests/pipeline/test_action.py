"""The GitHub Action's script against the whole stack: a verdict is a verdict, and nothing else looks like one."""

import asyncio
import os
import signal
import stat
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from junitparser import JUnitXml

from services.stack.recorded import load
from tests.pipeline.conftest import KEY, Releases, Stack, recorded

pytestmark = pytest.mark.asyncio(loop_scope="module")

ACTION = Path(__file__).parents[2] / "deploy/github-action"
BIN = Path(sys.executable).parent
PATIENCE = 90


@dataclass
class Job:
    """A job of a workflow: `commit` tells it from others; the workspace is a folder of its own."""

    stack: Stack
    workspace: Path
    commit: str

    async def start(self, *arguments: str, **variables: str) -> Process:
        """The step `Benchmark and decide`."""
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("ESRP_", "GITHUB_"))},
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "ESRP_URL": self.stack.url,
            "ESRP_API_KEY": KEY,
            "ESRP_CANDIDATE_KEY": "",
            "GATE_BASE_URL": self.stack.models.base_url,
            "GATE_MODEL": "release-a",
            "GATE_SUITE": "esrp-demo",
            "GATE_NAME": "smoke",
            "GATE_SAMPLE": "all",
            "GATE_JUNIT": "gate.xml",
            "GATE_SUMMARY": "gate.md",
            "RUNNER_TEMP": str(self.workspace),
            "GITHUB_ACTIONS": "true",
            "GITHUB_SHA": self.commit,
            "GITHUB_RUN_ID": "77",
            "GITHUB_OUTPUT": str(self.workspace / "output"),
            "GITHUB_STEP_SUMMARY": str(self.workspace / "summary"),
            **variables,
        }
        return await asyncio.create_subprocess_exec(
            str(ACTION / "gate.sh"),
            *arguments,
            cwd=self.workspace,
            env=environment,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            start_new_session=True,
        )

    async def run(self, *arguments: str, **variables: str) -> tuple[int | None, str]:
        """Its exit code, and what it printed."""
        return await ended(await self.start(*arguments, **variables))

    async def begun(self, **variables: str) -> tuple[Process, str]:
        """The step once its run is known."""
        process = await self.start(**variables)
        async with asyncio.timeout(PATIENCE):
            while not self.output("run"):
                await asyncio.sleep(0.1)
        return process, self.output("run")

    def output(self, name: str) -> str:
        """The last value that the step has given to it."""
        path = self.workspace / "output"
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        return next((line.partition("=")[2] for line in reversed(lines) if line.startswith(f"{name}=")), "")


async def ended(process: Process) -> tuple[int | None, str]:
    """Its exit code, and what it printed."""
    async with asyncio.timeout(PATIENCE):
        said, told = await process.communicate()
    return process.returncode, said.decode() + told.decode()


@pytest.fixture
def job(stack: Stack, releases: Releases, tmp_path: Path) -> Job:
    """A job of the recorded releases; `production` is the first of them."""
    stack.models.answer = recorded(load())
    return Job(stack, tmp_path, tmp_path.name)


# --- verdicts ---------------------------------------------------------------------------------------------------------


async def test_a_pass_ends_with_0_and_makes_the_run_the_baseline(job: Job) -> None:
    code, said = await job.run(GATE_PROMOTE="staging")

    assert code == 0, said
    assert job.output("verdict") == "pass"
    [suite] = JUnitXml.fromfile(str(job.workspace / "gate.xml"))
    assert (suite.tests, suite.failures, suite.errors) == (10, 0, 0)
    assert "ESRP gate `smoke@1`: pass" in (job.workspace / "summary").read_text("utf-8")
    baselines = {item.name: item.run async for item in job.stack.client.baselines()}
    assert baselines["staging"] == job.output("run")


async def test_a_fail_ends_with_1(job: Job) -> None:
    code, said = await job.run(GATE_MODEL="release-b", GATE_PROMOTE="never")

    assert (code, job.output("verdict")) == (1, "fail"), said
    [suite] = JUnitXml.fromfile(str(job.workspace / "gate.xml"))
    assert suite.failures == 2
    assert "never" not in [item.name async for item in job.stack.client.baselines()]


async def test_an_open_verdict_ends_with_2_and_its_policy_may_be_a_file(job: Job) -> None:
    (job.workspace / "gate.yaml").write_text("baseline: production\nmargins: {fluency: 0.3}\nmax_dialogues: 240\n")

    code, said = await job.run(GATE_MODEL="release-b", GATE_NAME="gate.yaml")

    assert (code, job.output("verdict")) == (2, "inconclusive"), said
    assert "esrp extend run_" in (job.workspace / "summary").read_text("utf-8")


async def test_nothing_can_be_decided_without_a_baseline_and_that_ends_with_3(job: Job) -> None:
    (job.workspace / "gate.json").write_text('{"baseline": "nobody", "margins": {"*": 0.1}}')

    code, said = await job.run(GATE_NAME="gate.json")

    assert (code, job.output("verdict")) == (3, "error"), said


async def test_what_models_wrote_is_no_command_to_the_runner(job: Job) -> None:
    _, said = await job.run(GATE_MODEL="release-b")

    lines = said.splitlines()
    [first] = [line for line in lines if line.startswith("::stop-commands::")]
    last = f"::{first.rpartition('::')[2]}::"
    told = next(n for n, line in enumerate(lines) if "speaking_style is worst here" in line)
    assert lines.index(first) < told < lines.index(last)


# --- no verdict -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", ["run", "wait"])
async def test_a_crash_is_not_mistaken_for_a_verdict(job: Job, broken: str) -> None:
    command = job.workspace / "esrp"  # Python itself ends with 1 where it cannot load what it needs
    command.write_text(
        f'#!/bin/sh\n[ "$1" = {broken} ] && exec {sys.executable} -c "import nothing_like_that"\nexec {BIN}/esrp "$@"\n'
    )
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    (job.workspace / "gate.xml").write_text("of yesterday")
    (job.workspace / "gate.md").write_text("of yesterday")

    code, said = await job.run(ESRP_COMMAND=str(command))

    assert code == 8, said
    assert job.output("verdict") == ""
    assert "::error title=ESRP gate::" in said and "nothing_like_that" in said


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"ESRP_URL": "http://127.0.0.1:9"}, 5),
        ({"ESRP_API_KEY": "esrp_wrong"}, 6),
        ({"GATE_NAME": "nobody-knows-it"}, 6),
        ({"GATE_NAME": "not/there.yaml"}, 4),
        ({"GATE_ARGUMENTS": "--nonsense"}, 4),
        ({"GATE_TIMEOUT": "soon"}, 4),
    ],
)
async def test_usage_and_network_end_with_4_and_more(job: Job, variables: dict[str, str], code: int) -> None:
    found, said = await job.run(**variables)

    assert (found, job.output("verdict"), job.output("run")) == (code, "", ""), said


async def test_a_run_that_does_not_succeed_has_no_verdict(job: Job) -> None:
    job.stack.models.answer = lambda request: (401, {"error": {"message": "no", "code": "unauthorized"}})

    code, said = await job.run()

    assert (code, job.output("verdict")) == (7, ""), said
    [[case]] = JUnitXml.fromfile(str(job.workspace / "gate.xml"))
    assert case.result
    assert "no verdict" in (job.workspace / "summary").read_text("utf-8")


# --- aborted, killed, too slow ----------------------------------------------------------------------------------------


async def is_cancelled(stack: Stack, run: str) -> bool:
    """Whether the run stops; its calls in flight are let go on."""
    stopping = (await stack.client.run(run)).status in ("cancelling", "cancelled")
    stack.models.opened.set()
    async with asyncio.timeout(PATIENCE):
        while (found := await stack.client.run(run)).finished_at is None:
            await asyncio.sleep(0.1)
    return stopping and found.status == "cancelled"


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
async def test_an_abort_cancels_the_run_and_the_same_job_goes_on_with_it(job: Job, kind: signal.Signals) -> None:
    job.stack.models.opened.clear()
    process, run = await job.begun()

    process.send_signal(kind)  # the runner tells the process that it started, not its children
    code, said = await ended(process)

    assert (code, job.output("verdict")) == (130, ""), said
    assert await is_cancelled(job.stack, run)
    assert (await job.run())[0] == 0
    assert (job.output("run"), job.output("verdict")) == (run, "pass")


async def test_a_job_that_was_killed_is_gone_on_with_and_nothing_is_paid_twice(job: Job) -> None:
    job.stack.models.opened.clear()
    process, run = await job.begun()

    os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    job.stack.models.opened.set()

    code, said = await job.run()
    assert (code, job.output("run"), job.output("verdict")) == (0, run, "pass"), said
    assert len(job.stack.models.sent_to("release-a")) == 48


async def test_what_an_aborted_job_has_left_can_be_cancelled_afterwards(job: Job) -> None:
    job.stack.models.opened.clear()
    process, run = await job.begun()
    os.killpg(process.pid, signal.SIGKILL)
    await process.wait()

    assert (await job.run("cancel"))[0] == 0

    assert await is_cancelled(job.stack, run)
    assert await job.run("cancel") == (0, "")  # nothing is left


async def test_a_run_that_takes_too_long_is_cancelled_without_a_verdict(job: Job) -> None:
    job.stack.models.opened.clear()

    code, said = await job.run(GATE_TIMEOUT="2s")

    assert (code, job.output("verdict")) == (9, ""), said
    assert "no verdict within 2s" in said
    assert await is_cancelled(job.stack, job.output("run"))


# --- the action's description -----------------------------------------------------------------------------------------


async def test_every_variable_that_the_script_reads_is_given_to_it() -> None:
    action = yaml.safe_load((ACTION / "action.yml").read_text("utf-8"))
    [step] = [step for step in action["runs"]["steps"] if step.get("id") == "gate"]
    used = {name for name in step["env"] if name.startswith("GATE_")}
    script = (ACTION / "gate.sh").read_text("utf-8")

    assert {name for name in used if f"{{{name}" not in script and f"${name}" not in script} == set()
    inputs = {value.removeprefix("${{ inputs.").removesuffix(" }}") for value in step["env"].values()}
    assert inputs | {"package"} == set(action["inputs"])
    assert all("${{" not in step.get("run", "") for step in action["runs"]["steps"])  # an input is no part of a script
