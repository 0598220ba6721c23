"""What the manifest of a run says of a judge of kind lora: adapter, base and prompts, and not where they are."""

from pathlib import Path
from typing import Any

from esrp.prompts.lora import LORA_VERSION
from services.gateway.runs.plan import order
from services.kit.settings import Settings
from tests.builders import a_run_request, a_suite
from tests.gateway.builders import found

SEEN = ["character.name", "character.work", "character.profile", "turns"]


def manifest_of(**judge: Any) -> Any:
    given: Any = {"name": "lora", "kind": "lora", "model": "judge@0123456789ab", **judge}
    settings = Settings(database_url="", redis_url="", secret_key_file=Path("key"), judges=[given])
    request = a_run_request(judges=["lora"], rounds=1)
    return order(found(request, a_suite(), settings)).manifest["judges"][0]


def test_it_names_the_adapter_its_base_and_the_prompts() -> None:
    assert manifest_of(base_url="http://vllm/v1", base_model="Qwen/Qwen3-8B") == {
        "kind": "lora",
        "model": "judge@0123456789ab",
        "base": "Qwen3-8B",
        "prompts": [LORA_VERSION],
        "sees": SEEN,
    }


def test_it_does_not_know_where_they_are() -> None:
    one, two = ({"model": f"/{place}/Qwen3-8B", "adapter": f"/{place}/adapter"} for place in ("here", "there"))
    assert manifest_of(serve=one) == manifest_of(serve=two)
    assert manifest_of(serve=one)["base"] == "Qwen3-8B"
    assert manifest_of(base_url="http://vllm/v1")["base"] is None
