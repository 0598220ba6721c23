"""`python -m tests.vllm`: make vLLM's environment, once for each `requirements.txt`, and run these tests in it.

They run with vLLM's Python and packages, and with the project's own behind them; the judge service that they start has
the project's own alone, as it has everywhere.
"""

import hashlib
import os
import signal
import subprocess
import sys
import sysconfig
from contextlib import suppress
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[2] / "deploy" / "vllm" / "requirements.txt"
LIMIT = 15 * 60  # seconds for the tests
INSTALL_LIMIT = 30 * 60  # it takes four minutes
PYTEST = "import site, sys; site.addsitedir(sys.argv.pop(1)); import pytest; sys.exit(pytest.main(sys.argv[1:]))"


def main(arguments: list[str]) -> int:
    """The exit code: pytest's, or 0 where there can be no environment."""
    python = environment()
    if reason := made(python):
        print(f"tests/vllm is skipped, for vLLM cannot be installed here: {reason}")
        return 0
    command = [str(python), "-c", PYTEST, sysconfig.get_path("purelib"), "tests/vllm", *arguments]
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "ESRP_PYTHON": sys.executable}
    tests = subprocess.Popen(command, env=variables, start_new_session=True)
    try:
        return tests.wait(LIMIT)
    except subprocess.TimeoutExpired:
        print(f"tests/vllm took more than {LIMIT // 60} minutes and was ended")
        return 1
    finally:
        with suppress(ProcessLookupError):
            os.killpg(tests.pid, signal.SIGKILL)


def environment() -> Path:
    """The Python of the environment, which may not be there yet."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "esrp" / f"vllm-{digest}" / "bin" / "python"


def made(python: Path) -> str | None:
    """Make the environment unless it is there; the reason if that cannot be done."""
    home = python.parents[1]
    if (home / ".made").exists():
        return None
    print(f"making {home}; this takes some minutes", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    try:
        subprocess.run(
            [*pip, "-r", str(REQUIREMENTS)], check=True, stderr=subprocess.PIPE, text=True, timeout=INSTALL_LIMIT
        )
    except subprocess.CalledProcessError as error:
        said: list[str] = error.stderr.strip().splitlines()
        return said[-1] if said else "pip gave no reason"
    except subprocess.TimeoutExpired:
        return f"pip took more than {INSTALL_LIMIT // 60} minutes"
    (home / ".made").touch()
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
