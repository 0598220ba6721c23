from textwrap import dedent

import pytest

from tests.client.generate import FOLDER, NAMES, TEXTS, TWINS, generate, unasync


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return generate()


@pytest.mark.parametrize("name", TWINS.values())
def test_the_blocking_client_is_what_make_client_makes_of_the_other(made: dict[str, str], name: str) -> None:
    assert (FOLDER / name).read_bytes() == made[name].encode(), "run `make client`"


def test_waiting_goes_and_what_is_said_of_it_stays() -> None:
    source = '''
    async def each(sleep: Callable[[list[float]], Awaitable[dict[str, None]]]) -> AsyncIterator[int]:
        """Items to await; async for some."""
        async with aclosing(line()) as open:  # await what comes
            found = [one async for one in open if await one.aclose()]
            yield "await", f(
                await  anext(open)
            ), await_all, (await g()).awaited
    '''
    assert unasync(dedent(source)) == dedent(
        '''
    def each(sleep: Callable[[list[float]], dict[str, None]]) -> Iterator[int]:
        """Items to await; async for some."""
        with closing(line()) as open:  # await what comes
            found = [one for one in open if one.close()]
            yield "await", f(
                next(open)
            ), await_all, (g()).awaited
    '''
    )


def test_no_rule_of_the_generator_is_left_over() -> None:
    sources = "".join((FOLDER / source).read_text("utf-8") for source in TWINS)

    assert [rule for rule in (*NAMES, *TEXTS) if rule not in sources] == []
