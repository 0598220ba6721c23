"""How figures and foreign texts are written: the same everywhere."""

import pytest

from esrp.stats import Interval
from esrp.text import bounds, cell, code, guarded, interval, number, rounded, sentence, shown, table_row, unguarded


def test_what_is_kept_has_ten_digits_and_unknown_stays_unknown() -> None:
    assert (rounded(1 / 3), rounded(7), rounded(None)) == (0.3333333333, 7, None)
    assert (bounds(Interval(1 / 3, 2 / 3)), bounds(None)) == ((0.3333333333, 0.6666666667), None)


def test_a_number_has_two_decimals_and_a_sign_if_asked() -> None:
    assert (number(3.14159), number(0.5, "+"), number(-0.5, "+")) == ("3.14", "+0.50", "-0.50")
    assert (number(None), number(None, unknown="unknown"), number(None, unknown="")) == ("–", "unknown", "")


def test_an_interval_stands_in_brackets() -> None:
    assert interval((1.0, 2.345)) == "[1.00, 2.35]"
    assert interval((-0.1, 0.1), "+") == "[-0.10, +0.10]"
    assert (interval(None), interval(None, unknown="[–]")) == ("–", "[–]")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "'=", "''@"])
def test_a_text_that_a_spreadsheet_would_compute_is_guarded_and_comes_back_as_it_was(start: str) -> None:
    text = f"{start}HYPERLINK(1)"
    assert guarded(text) == f"'{text}"
    assert unguarded(f"'{text}") == text


@pytest.mark.parametrize("value", ["plain", "'quoted'", "", "a=b", -1.5, 3, None])
def test_any_other_cell_is_left_as_it_is(value: str | float | None) -> None:
    assert guarded(value) == value
    if isinstance(value, str):
        assert unguarded(value) == value


def test_a_name_breaks_out_of_no_line_table_or_code() -> None:
    assert cell("a|b\nc\\") == "a\\|b c\\\\"
    assert cell("[x](y) <b> `z`") == "\\[x\\](y) &lt;b> 'z'"
    assert table_row([cell("a|b"), number(1)]) == "| a\\|b | 1.00 |"


def test_code_is_fenced_by_more_backticks_than_it_holds() -> None:
    assert (code("a"), code("a``b"), code("`a"), code("\x00")) == ("`a`", "```a``b```", "`` `a ``", "–")


def test_in_a_sentence_nobody_is_called_and_nothing_is_linked() -> None:
    assert sentence("@all see *https://x*") == "@\u2060all see \\*https:\u2060//x\\*"


def test_what_a_terminal_would_act_on_is_not_shown() -> None:
    assert shown("a\x1b[31m\u202eb\nc") == "a [31m b c"
