"""How files are held: what differs is shown, what is new and what is gone too, and what is masked stays told apart."""

from pathlib import Path

from tests.goldens.golden import difference, names, write
from tests.goldens.masks import Masks, masked

ONE, TWO = "run_" + "a" * 32, "run_" + "b" * 32


def test_files_that_were_written_do_not_differ_and_those_of_before_are_gone(tmp_path: Path) -> None:
    write(tmp_path, {"old/report.md": "once\n"})
    write(tmp_path, {"report.md": "eins\r\nzwei\n", "deep/run.json": "{}"})
    assert names(tmp_path) == {"report.md", "deep/run.json"}
    assert difference(tmp_path, "report.md", "eins\r\nzwei\n") == ""


def test_a_difference_is_shown_as_a_unified_diff(tmp_path: Path) -> None:
    write(tmp_path, {"report.md": "a\nb\nc\n"})
    told = difference(tmp_path, "report.md", "a\nB\nc\n").splitlines()
    assert told[:2] == ["--- report.md as it was", "+++ report.md now"]
    assert told[3:-1] == [" a", "-b", "+B", " c"]
    assert difference(tmp_path, "report.md", "a\nb\nc").splitlines()[-3:-1] == ["+c", "\\ no newline"]


def test_a_file_that_is_new_or_is_no_longer_made_is_a_difference(tmp_path: Path) -> None:
    write(tmp_path, {"old.md": "a\n"})
    assert difference(tmp_path, "old.md", None).startswith("--- old.md as it was\n+++ nothing\n")
    assert difference(tmp_path, "new.md", "a\n").startswith("--- no file\n+++ new.md now\n")


def test_an_id_keeps_its_name_and_another_one_has_another() -> None:
    masks = Masks()
    masks.name(TWO, "run_production")
    text = f"{ONE} {TWO} {'run_' + 'c' * 32} {ONE} dlg_{'a' * 32}"
    assert masks.text(text) == "run_1 run_production run_2 run_1 dlg_1"


def test_times_addresses_and_what_clocks_measure_are_masked_and_nothing_else() -> None:
    masks = Masks()
    masks.name("http://127.0.0.1:4711", "http://esrp")
    document = {
        "created_at": "2026-01-02T03:04:05.678901Z",
        "finished_at": None,
        "link": "http://127.0.0.1:4711/v1/runs",
        "seconds": 0.123,
        "sha256": "0" * 64,
        "mean": 0.1 + 0.2,
    }
    assert masks.json(document) == (
        '{\n  "created_at": "<time>",\n  "finished_at": null,\n  "link": "http://esrp/v1/runs",\n'
        f'  "seconds": "<seconds>",\n  "sha256": "{"0" * 64}",\n  "mean": 0.3\n}}\n'
    )
    assert masked({"seconds": None, "count": 3}) == {"seconds": None, "count": 3}
