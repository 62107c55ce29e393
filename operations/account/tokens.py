"""Tries what can be tried of ingest's tokens from here."""

import httpx

from ingest.jwks import KeySet, KeySetError
from operations.account.facts import TokenSource, TokenTrial

_WITHIN_S = 5.0


async def tried(source: TokenSource, ingest_url: str, token: str | None) -> TokenTrial:
    """Fetch the key set, and ask ingest for a user's requests, with the token where there is one.

    What does not answer is a part of the result; the tasks may reach what this machine does not.
    """
    key_set_error, status, ingest_error = None, None, None
    async with httpx.AsyncClient(timeout=_WITHIN_S) as client:
        if source.jwks_url is not None:
            try:
                await KeySet(source.jwks_url, client).refresh()
            except KeySetError as error:
                key_set_error = str(error)
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        try:
            answer = await client.get(f"{ingest_url}/me/participations", headers=headers)
            status = answer.status_code
        except httpx.HTTPError as error:
            ingest_error = f"{ingest_url} does not answer: {type(error).__name__}: {error}"
    return TokenTrial(
        source=source,
        has_token=token is not None,
        key_set_error=key_set_error,
        status=status,
        ingest_error=ingest_error,
    )
