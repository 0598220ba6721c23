import subprocess
import sys

from services.kit.sparing import KEYS, Sparing

REPEATS = """
import logging, structlog
from services.kit.telemetry import configure_logging
configure_logging("json")
log = structlog.get_logger()
for n in range(1000):
    logging.getLogger("asyncio").error("socket.accept() out of system resource\\nsocket: %d", n)
    log.warning("postgres.away", error="gone")
log.warning("postgres.away", error="another")
for n in range(100):
    log.info("dialogue.rated", n=n)
"""


def test_the_same_is_said_a_few_times_and_then_counted() -> None:
    sparing = Sparing(most=2, window=10)
    assert [sparing.admit("a", now) for now in (0, 1, 2, 3, 9.9)] == [0, 0, None, None, None]
    assert sparing.admit("b", 5) == 0
    assert [sparing.admit("a", now) for now in (10, 11, 12)] == [3, 0, None]


def test_what_was_said_takes_memory_only_up_to_a_limit() -> None:
    sparing = Sparing(most=1, window=10)
    for key in range(10 * KEYS):
        assert sparing.admit(key, 0) == 0
    assert len(sparing._said) <= KEYS


def test_a_log_of_one_fault_over_and_over_has_an_end() -> None:
    told = subprocess.run([sys.executable, "-c", REPEATS], capture_output=True, text=True, check=True)
    lines = (told.stdout + told.stderr).splitlines()
    assert sum("out of system resource" in line for line in lines) == 20
    assert sum('"error": "gone"' in line for line in lines) == 20
    assert sum('"error": "another"' in line for line in lines) == 1
    assert sum("dialogue.rated" in line for line in lines) == 100
