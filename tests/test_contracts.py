import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[1]


def modules(root: str) -> set[str]:
    """Every module below the package ``root``."""
    files = (file.relative_to(REPOSITORY).with_suffix("") for file in (REPOSITORY / root).rglob("*.py"))
    return {".".join(file.parts).removesuffix(".__init__") for file in files} - {root}


def named(contract: dict[str, Any]) -> Iterator[str]:
    """The modules that the layers of an import contract name."""
    within = [f"{container}." for container in contract.get("containers", [])] or [""]
    for layer in contract["layers"]:
        for part in layer.replace(":", "|").split("|"):
            yield from (prefix + part.strip(" ()") for prefix in within)


@pytest.mark.parametrize("root", ["esrp", "services"])
def test_every_module_has_its_layer_in_an_import_contract(root: str) -> None:
    document = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
    contracts = [one for one in document["tool"]["importlinter"]["contracts"] if one["type"] == "layers"]

    assert modules(root) - {name for contract in contracts for name in named(contract)} == set()
