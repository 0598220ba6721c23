"""The files that the judge is taught with: matched, checked line by line, the same whatever their order."""

import json
from pathlib import Path
from typing import Any

import pytest

from esrp.errors import InvalidInput
from esrp.suite import Suite
from services.judge.lora.data import Rated, counted, read_corpus, read_suite
from services.judge.lora.splitting import Unit
from tests.builders import a_suite

HEADER = "run,character,scenario,metric,rater,score"


@pytest.fixture
def suite() -> Suite:
    return a_suite()


def a_line(character: str = "c1", scenario: str | None = "s1", said: str = "There.", **fields: Any) -> dict[str, Any]:
    turns = [{"user": "Hello?", "assistant": said}]
    return {"character": character, "scenario": scenario, "turns": turns, **fields}


def written(path: Path, *lines: dict[str, Any] | str) -> Path:
    texts = (line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines)
    path.write_text("\n".join(texts) + "\n", "utf-8")
    return path


def test_ratings_find_their_dialogues_in_csv_and_in_jsonl(tmp_path: Path, suite: Suite) -> None:
    corpus = read_corpus([written(tmp_path / "d", a_line(), a_line("c2"))], suite)
    csv = written(tmp_path / "r.csv", "\ufeff" + HEADER, "run_1,c1,s1,fluency,ann,4", "run_1,c2,s1,fluency,ann,4.0")
    row = {"run": "run_1", "scenario": "s1", "metric": "fluency", "rater": "ann", "score": 4, "note": "x"}
    jsonl = written(tmp_path / "r.jsonl", {**row, "character": "c2"}, {**row, "character": "c1"})
    assert corpus.human([csv]) == corpus.human([jsonl]) == corpus.human([csv, jsonl])
    assert corpus.human([csv]).rated == (
        Rated("-/c1/s1/1", "fluency", "ann", 4),
        Rated("-/c2/s1/1", "fluency", "ann", 4),
    )
    assert corpus.sha256(corpus.human([csv])) == corpus.sha256(corpus.human([jsonl]))


def test_the_hash_follows_scores_texts_and_profiles(tmp_path: Path, suite: Suite) -> None:
    def hashed(score: int, said: str, suite: Suite = suite) -> str:
        corpus = read_corpus([written(tmp_path / "d", a_line(said=said), a_line("c2", said="nobody rates me"))], suite)
        return corpus.sha256(corpus.human([written(tmp_path / "r", HEADER, f"r,c1,s1,fluency,ann,{score}")]))

    other = a_suite(characters=3)
    renamed = other.model_copy(update={"characters": (suite.characters[0].model_copy(update={"profile": "!"}),)})
    assert hashed(4, "a") == hashed(4, "a", other)
    assert len({hashed(4, "a"), hashed(3, "a"), hashed(4, "b")}) == 3
    corpus = read_corpus([written(tmp_path / "d", a_line(said="a"))], renamed)
    assert corpus.sha256(corpus.human([tmp_path / "r"])) != hashed(4, "a")


def test_a_line_without_a_score_is_missing_and_one_by_a_judge_is_not_human(tmp_path: Path, suite: Suite) -> None:
    corpus = read_corpus([written(tmp_path / "d", a_line())], suite)
    lines = ["r,c1,s1,fluency,ann,,human", "r,c1,s1,fluency,gpt,2,judge", "r,c1,s1,fluency,bob,5,"]
    file = written(tmp_path / "r", HEADER + ",rater_kind", *lines)
    human, panel = corpus.human([file]), corpus.panel([file])
    assert (len(human.rated), human.missing, human.others) == (1, 1, 1)
    assert [one.rater for one in panel.rated] == ["bob", "gpt"]


def test_dialogues_of_several_runs_are_told_apart_and_stay_together(tmp_path: Path, suite: Suite) -> None:
    lines = [a_line(said="one", run="r1"), a_line(said="two", run="r2")]
    corpus = read_corpus([written(tmp_path / "d", *lines)], suite)
    rates = corpus.human([written(tmp_path / "r", HEADER, "r1,c1,s1,fluency,a,1", "r2,c1,s1,fluency,a,2")])
    said = {one.score: corpus.spoken[one.dialogue].dialogue.turns[0].assistant for one in rates.rated}
    assert said == {1: "one", 2: "two"}
    assert corpus.units(rates) == {Unit("c1", "s1")}


def test_ratings_of_several_runs_need_dialogues_that_name_theirs(tmp_path: Path, suite: Suite) -> None:
    corpus = read_corpus([written(tmp_path / "d", a_line())], suite)
    file = written(tmp_path / "r", HEADER, "r1,c1,s1,fluency,a,1", "r2,c1,s1,fluency,b,2")
    with pytest.raises(InvalidInput, match="every dialogue must name its `run`"):
        corpus.human([file])


def test_of_replicates_the_column_says_which(tmp_path: Path, suite: Suite) -> None:
    corpus = read_corpus([written(tmp_path / "d", a_line(), a_line(replicate=2))], suite)
    with pytest.raises(InvalidInput, match="the column `replicate` must say which"):
        corpus.human([written(tmp_path / "r", HEADER, "r,c1,s1,fluency,a,1")])
    rates = corpus.human([written(tmp_path / "r", HEADER + ",replicate", "r,c1,s1,fluency,a,1,2")])
    assert rates.rated[0].dialogue == "-/c1/s1/2"


def test_each_conversation_from_own_logs_is_a_unit_by_itself(tmp_path: Path, suite: Suite) -> None:
    lines = [a_line(scenario=None, said=said, run=run) for run, said in (("r1", "one"), ("r2", "two"))]
    corpus = read_corpus([written(tmp_path / "d", *lines)], suite)
    rates = corpus.human([written(tmp_path / "r", HEADER, "r1,c1,,fluency,a,1", "r2,c1,,fluency,a,2")])
    assert len(corpus.units(rates)) == 2


def test_the_judge_is_never_told_the_scenario(tmp_path: Path, suite: Suite) -> None:
    corpus = read_corpus([written(tmp_path / "d", a_line())], suite)
    assert corpus.spoken["-/c1/s1/1"].dialogue.scenario is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("r,c1,s1,fluency,a,6", "/score"),
        ("r,c1,s1,fluency,a,3.5", "/score"),
        ("r,c1,s1,overall,a,3", "/metric"),
        (",c1,s1,fluency,a,3", "/run"),
        ("r,c1,s9,fluency,a,3", "0 dialogues of character 'c1', scenario 's9'"),
        ("r,c1,s1,fluency,a", "fewer fields"),
        ("r,c1,s1,fluency,a,3,4", "more or fewer fields"),
        ("r,c1,s1,fluency,ann,5", "score 5 where another line gives 4"),
    ],
)
def test_a_wrong_line_is_named_with_its_reason(tmp_path: Path, suite: Suite, line: str, said: str) -> None:
    corpus = read_corpus([written(tmp_path / "d", a_line())], suite)
    file = written(tmp_path / "r", HEADER, "r,c1,s1,fluency,ann,4", line)
    with pytest.raises(InvalidInput) as refused:
        corpus.human([file])
    assert f"{file}, line 3" in refused.value.detail and said in refused.value.detail


def test_true_is_no_score_and_broken_json_is_named(tmp_path: Path, suite: Suite) -> None:
    corpus = read_corpus([written(tmp_path / "d", a_line())], suite)
    row = {"run": "r", "character": "c1", "scenario": "s1", "metric": "fluency", "rater": "a", "score": True}
    with pytest.raises(InvalidInput) as refused:
        corpus.human([written(tmp_path / "r", row, "{")])
    assert [fault.pointer for fault in refused.value.errors] == [f"{tmp_path / 'r'}, line {n}" for n in (1, 2)]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (a_line("c9"), "no character 'c9'"),
        (a_line(), "stands twice"),
        ({**a_line("c2"), "turns": []}, "/turns"),
        ({**a_line("c2"), "model": "x"}, "/model"),
        ("[", "not JSON"),
    ],
)
def test_a_wrong_dialogue_is_named_with_its_reason(
    tmp_path: Path, suite: Suite, line: dict[str, Any] | str, said: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_corpus([written(tmp_path / "d", a_line(), line)], suite)
    assert "line 2" in refused.value.detail and said in refused.value.detail


def test_a_file_without_the_columns_is_refused(tmp_path: Path, suite: Suite) -> None:
    corpus = read_corpus([written(tmp_path / "d", a_line())], suite)
    with pytest.raises(InvalidInput, match="the header lacks rater, score"):
        corpus.human([written(tmp_path / "r", "run,character,scenario,metric", "r,c1,s1,fluency")])


def test_a_suite_is_a_file_or_a_bundled_one(tmp_path: Path, suite: Suite) -> None:
    file = written(tmp_path / "suite.yaml", suite.model_dump())
    assert read_suite(str(file)) == suite
    assert read_suite("esrp-en").name == "esrp-en"
    with pytest.raises(InvalidInput, match="neither a file nor one of"):
        read_suite("nowhere")


def test_scores_are_counted_by_metric() -> None:
    found = counted([Rated("d", "fluency", rater, score) for rater, score in (("a", 4), ("b", 4), ("c", 1))])
    assert found["fluency"] == {"1": 1, "2": 0, "3": 0, "4": 2, "5": 0}
    assert sum(found["coherence"].values()) == 0
