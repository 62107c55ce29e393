"""What a token must say, and PyJWT's word on whether it does."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import jwt

LEEWAY_S: Final = 10.0
"""How far the clocks of a token's issuer and this host may be apart."""
LAST_S: Final = 253_402_300_799
"""The end of the year 9999, beyond which no date library goes."""


@contextmanager
def refusing() -> Iterator[None]:
    """Make a jwt.PyJWTError of whatever else a hostile token makes the library raise."""
    try:
        yield
    except jwt.PyJWTError:
        raise
    except Exception as error:
        raise jwt.DecodeError(type(error).__name__) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRules:
    """What a token must say besides who it is for."""

    audience: str | None = None
    issuer: str | None = None
    leeway_s: float = LEEWAY_S

    def decode(self, token: str, key: Any, algorithm: str) -> Mapping[str, Any]:
        """Check a token against one key and the one algorithm that goes with it.

        Raises jwt.PyJWTError. The expiry is then a time: a number (RFC 7519 §4.1.4).
        """
        with refusing():
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self.audience,
                issuer=self.issuer,
                leeway=self.leeway_s,
                options={
                    "require": ["exp", "sub"],
                    "verify_aud": self.audience is not None,
                    "verify_iss": self.issuer is not None,
                },
            )
            if claims["exp"] > LAST_S:
                raise jwt.DecodeError("exp is too far away")
            return claims
