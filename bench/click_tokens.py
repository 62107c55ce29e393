"""The tokens of the clicks: keys, the key set that services check them with, and the signing."""

import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Final

import jwt
import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

HS256: Final = "HS256"
RS256: Final = "RS256"
ES256: Final = "ES256"
_SECRET: Final = "a-secret-for-benchmarks-only-0123456789"  # noqa: S105 - opens nothing
_KID: Final = "clicks"
_RSA_BITS: Final = 2_048
_HOLDS_S: Final = 3_600
_ALGORITHM_VARIABLE: Final = "CLICK_ALGORITHM"
_KEY_VARIABLE: Final = "CLICK_KEY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What both sides of a measurement find in their environment."""

    service: Mapping[str, str]
    """How to check tokens."""
    clients: Mapping[str, str]
    """How to sign them: what `Signer` reads."""


@contextmanager
def credentials(algorithm: str) -> Iterator[Credentials]:
    """Make a key; for RS256 and ES256, serve its key set on loopback meanwhile."""
    if algorithm == HS256:
        yield Credentials(
            service={"JWT_SECRET": _SECRET, "JWKS_URL": ""},
            clients={_ALGORITHM_VARIABLE: algorithm, _KEY_VARIABLE: _SECRET},
        )
        return
    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    if algorithm == RS256:
        private = rsa.generate_private_key(public_exponent=65_537, key_size=_RSA_BITS)
        jwk = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
    else:
        private = ec.generate_private_key(ec.SECP256R1())
        jwk = ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with _served(orjson.dumps({"keys": [{**jwk, "kid": _KID}]})) as url:
        yield Credentials(
            service={"JWT_SECRET": "", "JWKS_URL": url},
            clients={_ALGORITHM_VARIABLE: algorithm, _KEY_VARIABLE: pem.decode()},
        )


class Signer:
    """Signs tokens with the key of an environment; those of one signer expire together."""

    def __init__(self, environment: Mapping[str, str], now_s: float) -> None:
        self._algorithm, key = environment[_ALGORITHM_VARIABLE], environment[_KEY_VARIABLE]
        is_secret = self._algorithm == HS256
        # Parsed here: PyJWT would parse a PEM again for each token.
        self._key = key if is_secret else _private_key(key)
        self._headers = None if is_secret else {"kid": _KID}
        self._times = {"iat": int(now_s), "exp": int(now_s) + _HOLDS_S}

    def token(self, user_id: str) -> str:
        """A token of one user."""
        claims = {"sub": user_id, **self._times}
        return jwt.encode(claims, self._key, self._algorithm, self._headers)


def _private_key(pem: str) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    return key


@contextmanager
def _served(document: bytes) -> Iterator[str]:
    """Answer every GET with a document; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(document)))
            self.end_headers()
            self.wfile.write(document)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/jwks.json"
        finally:
            server.shutdown()
            thread.join()
