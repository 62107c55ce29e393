"""What URLs among the settings may be, and how they are shown."""

import re
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

MASK: Final = "*" * 10
# Greedy to the last @: a password may hold any character, and hiding too much does no harm. An @
# behind ? or # ends a password or stands in a query: nothing behind it is shown either.
_USERINFO: Final = re.compile(r"^([^:/?#@]*://)?(.*[?#].*@.*|.*@)", re.DOTALL)
_ORIGIN: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://([a-z0-9][a-z0-9._-]*|\[[0-9a-f:.]+\])(?P<port>:[0-9]{1,5})?"
)
_OWN_PORTS: Final = {"http": ":80", "https": ":443"}
_QUERY: Final = re.compile(r"[?#].*", re.DOTALL)


def masked(url: str) -> str:
    """A URL without its user, password, query and fragment; any text will do."""
    return _QUERY.sub(f"?{MASK}", _USERINFO.sub(rf"\1{MASK}@", url))


def without_credentials(url: str) -> str:
    """Pass a URL that names no user on; raises ValueError: URLs stand in logs and errors."""
    if "@" in url:
        raise ValueError("must not hold a user or a password (in a path, @ is written %40)")
    return url


def confidential(url: str) -> str:
    """Pass an https URL on, or an http one of this machine; raises ValueError for others.

    Whoever can change what it answers decides whom tokens name.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("is not a URL") from None  # the parser's words may repeat it
    host = parts.hostname
    if not host or parts.scheme not in {"http", "https"}:
        raise ValueError("must be an https URL")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ValueError("must be an https URL; http is for loopback addresses alone")
    return url


def origins(text: str) -> str:
    """Pass a list of web origins on, normalised, or `*`; raises ValueError for anything else.

    A browser sends an origin in lower case and without its scheme's own port, and it is compared
    as it is: what could never be equal is refused.
    """
    found = [part.strip().lower() for part in text.split(",")]
    if found != ["*"]:
        for origin in found:
            match = _ORIGIN.fullmatch(origin)
            if match is None:
                raise ValueError(
                    "must be * alone, or origins separated by commas, such as "
                    "https://shop.example or http://localhost:3000: no path, no slash at the end"
                )
            if match["port"] == _OWN_PORTS.get(match["scheme"], ""):
                raise ValueError(f"must not name the port in {origin}: browsers leave it out")
    return ",".join(dict.fromkeys(found))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
