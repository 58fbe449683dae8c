"""Which addresses something is fetched from.

The rule: `https`, or plain `http` to this machine. An address that an answer names is a stranger's word, so it leads
inside a network only where the API is inside as well, in whatever form its host is written. Names are not looked up
here: what they lead to is for the certificate to prove.
"""

from __future__ import annotations

import re
import socket
from ipaddress import IPv6Address, ip_address

from yarl import URL

from .._credentials import Secret
from ..errors import InvalidResponseError

ADDRESS = re.compile(r"[!-~]+")
"""What an address is written with."""


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def checked(address: Secret, base_url: str) -> None:
    """Refuse the address of a file where nothing is fetched from, without quoting it.

    Raises:
        InvalidResponseError: it is not `https` (or `http` to this machine, where the API is there too), holds user
            info, or leads inside from outside.
    """
    reason = _objection(address, URL(base_url).host or "")
    if reason is not None:
        raise InvalidResponseError(f"the recording's address is not used: {reason}")


def _objection(address: Secret, home: str) -> str | None:
    try:
        url = URL(address.reveal())
        host, scheme, named = url.host or "", url.scheme, url.raw_user or url.raw_password
    except (ValueError, IndexError):  # yarl trips over "https://[]@"
        return "it cannot be read"
    if not host or scheme not in {"http", "https"} or not ADDRESS.fullmatch(address.reveal()):
        return "it is none of https"
    if named is not None:
        return "it holds user info"
    if scheme == "http" and not (is_loopback(host) and is_loopback(home)):
        return "plain http is for loopback addresses only"
    if _is_inside(host) and not _is_inside(home):
        return "it leads inside a network, and the API is outside"
    return None


def _is_inside(host: str) -> bool:
    """Whether a host lies inside a network, or is written so that it hides where it lies."""
    host = host.rstrip(".")
    try:
        ip = ip_address(host)
    except ValueError:
        return is_loopback(host) or _is_short(host)
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    inner = ip.sixtofour if isinstance(ip, IPv6Address) else None
    return not (mapped or inner or ip).is_global or (mapped is None and ip.is_reserved)  # reserved: also NAT64


def _is_short(host: str) -> bool:
    """Whether a host is an address in a form that only the operating system reads, such as `127.1` or `0x7f000001`."""
    try:
        socket.inet_aton(host)
    except OSError:
        return False
    return True
