"""Ratings packed into bytes are the same ratings: of the same rows, whatever their order, raters, kinds and gaps."""

import json
from collections.abc import Iterable, Sequence
from random import Random
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from esrp.metrics import METRIC_IDS
from esrp.stats import Rating, Ratings
from services.analytics.report.packing import KINDS, Row, pack, unpack

PLACE = {metric: 10**place for place, metric in enumerate(METRIC_IDS)}


def rows_of(ratings: Iterable[Rating]) -> list[Row]:
    """As Postgres copies them."""
    found: dict[tuple[Any, ...], int] = {}
    for r in ratings:
        whose = r.dialogue, r.character, r.scenario, r.rater, r.kind
        found[whose] = found.get(whose, 0) + r.score * PLACE[r.metric]
    return [[*whose, digits] for whose, digits in found.items()]


def some(seed: int) -> list[Rating]:
    """Ratings with gaps by several raters of both kinds, of dialogues of a suite and of own logs."""
    chance = Random(seed)
    raters = [(f"评分者 {n}", kind) for kind in KINDS for n in range(chance.randint(0, 3))]
    dialogues = [
        (
            str(UUID(int=chance.getrandbits(128))),
            f"角色{chance.randint(1, 3)}",
            chance.choice([None, "s1", "s2", "s10"]),
        )
        for _ in range(chance.randint(0, 12))
    ]
    return [
        Rating(*dialogue, metric, rater, kind, chance.randint(1, 5))
        for dialogue in dialogues
        for rater, kind in raters
        for metric in METRIC_IDS
        if chance.random() < 0.7
    ]


def cells(ratings: Ratings) -> list[tuple[Any, ...]]:
    """Every rating by its names, in order."""
    names = Rating._fields[:-1]
    columns = [[ratings.levels[name][code] for code in ratings.codes[name]] for name in names]
    return sorted(zip(*columns, ratings.score.tolist(), strict=True))


def same(found: Ratings, wanted: Ratings) -> None:
    assert (found.levels, found.sha256, cells(found)) == (wanted.levels, wanted.sha256, cells(wanted))
    for of in ("sums", "counts", "character", "scenario"):
        np.testing.assert_array_equal(getattr(found.units, of), getattr(wanted.units, of))
    assert found.units.pairs == wanted.units.pairs


@pytest.mark.parametrize("seed", range(40))
def test_packed_ratings_are_those_of_the_same_rows(seed: int) -> None:
    ratings = some(seed)
    found = unpack(pack(rows_of(ratings))).ratings
    by_kind = {kind: [r for r in ratings if r.kind == kind] for kind in KINDS}
    assert set(found) == {kind for kind, given in by_kind.items() if given}
    for kind, of in found.items():
        same(of, Ratings.of(by_kind[kind]))


@pytest.mark.parametrize("seed", range(10))
def test_the_order_of_rows_changes_no_byte(seed: int) -> None:
    rows = rows_of(some(seed))
    shuffled = Random(seed).sample(rows, len(rows))
    assert pack(rows) == pack(shuffled)


def test_one_other_score_is_another_hash() -> None:
    ratings = some(3)
    other = [ratings[0]._replace(score=1 + ratings[0].score % 5), *ratings[1:]]
    assert pack(rows_of(ratings)).sha256 != pack(rows_of(other)).sha256


def test_nothing_is_packed_too() -> None:
    document = pack([])
    assert (unpack(document).ratings, unpack(document).sampling, document.kinds) == ({}, {}, [])


def test_what_is_packed_says_who_rated_and_how_dialogues_were_chosen() -> None:
    one, two, three = (str(UUID(int=n)) for n in (1, 2, 3))
    given = [
        *(Rating(id, "saber", None, "fluency", "anna", "human", 4) for id in (one, two, three)),
        Rating(one, "saber", None, "fluency", "gpt", "judge", 5),
    ]
    sampling = [(two, "drawn"), (three, "random")]
    document = pack(rows_of(given), sampling)
    assert (document.kinds, unpack(document).sampling) == (["judge", "human"], dict(sampling))
    assert document.sha256 != pack(rows_of(given)).sha256


def test_a_row_without_a_score_of_any_metric_is_no_rating() -> None:
    document = pack([[str(UUID(int=1)), "saber", "s1", "anna", "human", None]])
    assert unpack(document).ratings == {}


def test_a_row_as_postgres_writes_it_is_read() -> None:
    row = json.loads('["00000000-0000-0000-0000-000000000001", "saber", null, "gpt", "judge", 500000004]')
    found = unpack(pack([row])).ratings["judge"]
    wanted: Sequence[tuple[str, int]] = [(METRIC_IDS[0], 4), (METRIC_IDS[-1], 5)]
    assert [(cell[3], cell[-1]) for cell in cells(found)] == sorted(wanted)


# --- parts and sums of ratings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_some_of_the_ratings_are_as_if_there_had_been_no_others(seed: int) -> None:
    ratings = some(seed)
    chosen = {r.dialogue for r in ratings[::7]}
    whole = Ratings.of(ratings)
    same(whole.only(whole.among("dialogue", chosen)), Ratings.of(r for r in ratings if r.dialogue in chosen))


@pytest.mark.parametrize("seed", range(20))
def test_joined_ratings_are_as_if_they_had_come_together(seed: int) -> None:
    ratings = some(seed)
    parts = [Ratings.of(r for r in ratings if r.rater.endswith(end)) for end in "012"]
    same(Ratings.joined(*parts), Ratings.of(ratings))
