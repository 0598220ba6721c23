"""Where we connect on a user's word: public addresses only, checked at the moment of connecting.

A check of the URL beforehand would be of no use: the name may resolve to something else a moment later.
"""

import socket
from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

from aiohttp import TCPConnector

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
AddrInfo = tuple[int, int, int, str, tuple[Any, ...]]

# Beside what `ipaddress` of every Python from 3.11 on calls not global.
_RESERVED_4 = tuple(map(IPv4Network, ("192.0.0.0/24", "192.88.99.0/24")))
# All unicast that was ever given out lies in 2000::/3; in it, what is special (IANA's registry) or a tunnel.
_UNICAST_6 = IPv6Network("2000::/3")
_RESERVED_6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "3fff::/20")))
_NAT64 = IPv6Network("64:ff9b::/96")


class AddressRefused(OSError):
    """The address is not public, and the operator has not allowed it."""

    def __init__(self, address: str) -> None:
        # The same words for every address of a host: aiohttp keeps the type only where all attempts say the same.
        super().__init__("not a public address")
        self.address = address


def guarded_connector(allowed_networks: Collection[Network] = (), *, limit: int = 0) -> TCPConnector:
    """A connector that connects to public addresses and to ``allowed_networks`` only, whatever a name resolves to.

    Every socket passes the check, also for IP literals, which aiohttp gives to no resolver. ``limit`` caps the
    connections; 0 is no cap.
    """
    allowed = tuple(allowed_networks)

    def open_socket(info: AddrInfo) -> socket.socket:
        family, kind, protocol, _, where = info
        if not is_allowed(where[0], allowed):
            raise AddressRefused(where[0])
        return socket.socket(family, kind, protocol)

    return TCPConnector(limit=limit, socket_factory=open_socket)


def is_allowed(text: str, allowed: Collection[Network] = ()) -> bool:
    """Whether the address is public or in an allowed network; an IPv4 address inside an IPv6 one is what counts."""
    address = _meant(ip_address(text))
    inside = any(address in network for network in allowed if network.version == address.version)
    return inside or (_public_4(address) if isinstance(address, IPv4Address) else _public_6(address))


def _meant(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for: mapped, 6to4, or behind NAT64."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _public_4(address: IPv4Address) -> bool:
    special = address.is_multicast or address.is_reserved or any(address in network for network in _RESERVED_4)
    return address.is_global and not special


def _public_6(address: IPv6Address) -> bool:
    """Teredo is in 2001::/23; loopback, local, mapped, NAT64 of one's own, multicast are outside 2000::/3."""
    return address in _UNICAST_6 and not any(address in network for network in _RESERVED_6)
