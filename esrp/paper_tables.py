"""The paper's printed tables (ChatAnime, arXiv:2508.06388), for reference beside figures that were measured here."""

from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from esrp.api import PublishedTable, Raters
from esrp.chatanime import SUITE

TABLES: dict[Raters, str] = {"judge": "table4", "human": "table1", "calibrated": "table1"}


def published(suite_label: str, raters: Raters | None) -> PublishedTable | None:
    """The table that was rated by raters of that kind: Table 4 by judges, Table 1 by people; of ``chatanime`` alone."""
    if suite_label.split("@")[0] != SUITE or raters is None:
        return None
    return PublishedTable.model_validate(_read(TABLES[raters]))


@cache
def _read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(files("esrp").joinpath(f"published/{name}.yaml").read_text("utf-8"))
    return document
