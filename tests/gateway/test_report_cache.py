from services.gateway.runs.report_cache import KEPT, Shelf
from services.gateway.upstream import Forwarded

REPORT = Forwarded(200, b"{}", "application/json")


def test_an_answer_is_found_until_its_stamp_changes() -> None:
    shelf = Shelf()
    shelf.put("run", ("a", 1), REPORT)
    assert shelf.find("run", ("a", 1)) is REPORT
    assert shelf.find("run", ("a", 2)) is None
    assert shelf.find("other", ("a", 1)) is None


def test_what_has_no_stamp_is_neither_kept_nor_found() -> None:
    shelf = Shelf()
    shelf.put("run", None, REPORT)
    assert shelf.find("run", None) is None


def test_the_answer_that_was_asked_for_longest_ago_gives_way() -> None:
    shelf = Shelf()
    for number in range(KEPT):
        shelf.put(number, ("a",), REPORT)
    shelf.find(0, ("a",))
    shelf.put("new", ("a",), REPORT)
    assert shelf.find(0, ("a",)) is REPORT
    assert shelf.find(1, ("a",)) is None
