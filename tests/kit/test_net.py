"""Which addresses a user's word may lead us to, and that every connection is asked."""

from ipaddress import IPv4Network, IPv6Network, ip_network

import pytest
from aiohttp import ClientConnectorError, ClientSession, InvalidURL, web
from aiohttp.test_utils import TestServer

from services.kit.net import AddressRefused, Network, guarded_connector, is_allowed

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "100.128.0.1",
    "2606:4700:4700::1111",
    "64:ff9b::808:808",
    "::ffff:8.8.8.8",
    "2002:808:808::1",
]
PRIVATE = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.8",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a00:1::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%lo",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_allowed(address: str) -> None:
    assert is_allowed(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not is_allowed(address)


def test_an_allowed_network_also_allows_the_other_spellings_of_its_addresses() -> None:
    loopback: list[Network] = [IPv4Network("127.0.0.0/8"), IPv6Network("fd00::/8")]
    assert is_allowed("127.0.0.1", loopback)
    assert is_allowed("::ffff:127.0.0.1", loopback)
    assert is_allowed("fd12::1", loopback)
    assert not is_allowed("::1", loopback)
    assert not is_allowed("10.0.0.1", loopback)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0x7f.1", "2130706433"])
async def test_no_spelling_of_loopback_gets_through(host: str) -> None:
    async with TestServer(web.Application()) as server, ClientSession(connector=guarded_connector()) as session:
        with pytest.raises((ClientConnectorError, InvalidURL)) as refused:
            await session.get(f"http://{host}:{server.port}/")
    # aiohttp itself refuses a bare number; whatever is looked up or written as an address comes to our check.
    assert isinstance(getattr(refused.value, "os_error", None), AddressRefused) or host == "2130706433"


async def test_an_allowed_network_gets_through() -> None:
    connector = guarded_connector([ip_network("127.0.0.0/8")])
    async with TestServer(web.Application()) as server, ClientSession(connector=connector) as session:
        async with session.get(f"http://127.0.0.1:{server.port}/") as response:
            assert response.status == 404
