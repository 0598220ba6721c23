"""A vLLM that dies is the judge service's to start again, and nobody's scores are lost."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

from tests.vllm.service import JudgeService, played
from tests.vllm.test_scores import largest_difference

SAME = 1e-5  # float32 in batches of another shape


def test_only_the_adapter_that_is_configured_is_served_under_the_hash_of_its_content(service: JudgeService) -> None:
    served = [model["id"] for model in service.vllm.get("/v1/models").json()["data"]]
    assert service.model in served and len(served) == 2


def test_after_a_kill_9_of_the_engine_the_service_stays_up_is_not_ready_restarts_it_and_scores_the_same(
    service: JudgeService,
) -> None:
    dialogues = played(4, after=50)
    before = service.distributions(dialogues)
    assert service.ready() == (200, {"postgres": True, "redis": True, "lora": True})

    pids = service.engine_pids()
    assert pids
    os.kill(pids[0], signal.SIGKILL)
    with ThreadPoolExecutor() as pool:
        asked_meanwhile = pool.submit(service.distributions, dialogues)
        service.until(lambda: service.ready() == (503, {"postgres": True, "redis": True, "lora": False}))
        assert service.http.get("/healthz").status_code == 200
        assert service.http.get("/readyz?models=false").status_code == 200
        meanwhile = asked_meanwhile.result()

    assert service.ready()[0] == 200
    assert not set(pids) & set(service.engine_pids())
    assert largest_difference(meanwhile, before) <= SAME
    assert largest_difference(service.distributions(dialogues), before) <= SAME
