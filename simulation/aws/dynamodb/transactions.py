"""TransactWriteItems: all or nothing, items held until the commit, tokens for repetitions."""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import orjson

from simulation.aws import errors
from simulation.aws.account import Account, Payload, Reply
from simulation.aws.dynamodb.refusal import Refusal
from simulation.aws.dynamodb.storage import Key
from simulation.aws.dynamodb.throughput import Cost, Throughput
from simulation.aws.dynamodb.writes import Write, Writes

# Each: DynamoDB API Reference, "TransactWriteItems".
_MAX_ACTIONS: Final = 100
_MAX_BYTES: Final = 4 * 1_024 * 1_024
_TOKEN_S: Final = 600


class Transactions:
    """The transactions on one table."""

    def __init__(self, writes: Writes, account: Account, throughput: Throughput | None) -> None:
        self._writes = writes
        self._account = account
        self._throughput = throughput
        self._tokens = _Tokens()

    def transact(self, payload: Payload, reply: Reply) -> None:
        """Commit all actions and reply then; raises the error of a transaction that can't be."""
        actions = payload["TransactItems"]
        if not 0 < len(actions) <= _MAX_ACTIONS:
            raise errors.validation("Member must have length between 1 and 100")
        token = payload.get("ClientRequestToken")
        request = 0 if token is None else hash(orjson.dumps(actions))
        if token is not None and self._tokens.used(token, request, self._account.clock.time()):
            reply({})
            return
        keys, writes = self._prepare(actions)

        def commit() -> None:
            for write in writes:
                write()
            if token is not None:
                self._tokens.remember(token, request, self._account.clock.time())
            reply({})

        if self._account.transaction_s is None:
            commit()
            return
        if token is not None:
            self._tokens.begin(token, request)
        self._hold(keys, commit, self._account.transaction_s())

    def _prepare(self, actions: Sequence[Payload]) -> tuple[Sequence[Key], Sequence[Write]]:
        prepared = [self._writes.prepare(action) for action in actions]
        keys, refused, writes, costs, sizes = zip(*prepared, strict=True)
        refusals: Sequence[Refusal | None] = refused
        if len(set(keys)) != len(keys):
            raise errors.validation(
                "Transaction request cannot include multiple operations on one item"
            )
        if self._throughput is not None:
            if sum(sizes) > _MAX_BYTES:
                raise errors.validation("Transaction size exceeds the limit of 4194304 bytes")
            refusals = _metered(costs, refusals, self._throughput)
        if any(refusals):
            self._report(keys, refusals)
            raise errors.transaction_cancelled(
                [{"Code": "None"} if refusal is None else refusal.reason() for refusal in refusals]
            )
        return keys, writes

    def _report(self, keys: Sequence[Key], refusals: Sequence[Refusal | None]) -> None:
        observer = self._account.observer
        if observer is not None:
            for key, refusal in zip(keys, refusals, strict=True):
                if refusal is not None:
                    observer.was_in_the_way(key)

    def _hold(self, keys: Sequence[Key], commit: Callable[[], None], seconds: float) -> None:
        """Keep other writers from the items until the commit; readers see them as they were."""
        account, held = self._account, self._writes.held
        held.update(keys)
        caller = account.caller

        def end() -> None:
            held.difference_update(keys)
            # Others have called meanwhile.
            account.caller = caller
            commit()

        account.clock.call_later(seconds, end)


def _metered(
    costs: Sequence[Cost], refusals: Sequence[Refusal | None], throughput: Throughput
) -> Sequence[Refusal | None]:
    """Take the table's units of every action, and the indexes' where all actions are possible.

    What a cancelled transaction took is spent.
    """
    throttled = [throughput.prepare(cost) for cost in costs]
    found = [refusal or throttle for refusal, throttle in zip(refusals, throttled, strict=True)]
    return found if any(found) else [throughput.index(cost) for cost in costs]


class _Use(NamedTuple):
    request: int
    ends_at: float | None
    """None while the transaction is under way."""


class _Tokens:
    """Tokens of transactions that are under way, or were committed in the last ten minutes."""

    def __init__(self) -> None:
        self._uses: dict[str, _Use] = {}

    def used(self, token: str, request: int, now: float) -> bool:
        """Whether the same transaction was committed; raises the error where that can't be said."""
        use = self._uses.get(token)
        if use is None or (use.ends_at is not None and use.ends_at <= now):
            return False
        if use.request != request:
            raise errors.token_mismatch()
        if use.ends_at is None:
            raise errors.transaction_in_progress()
        return True

    def begin(self, token: str, request: int) -> None:
        """Note a transaction that is under way."""
        self._uses[token] = _Use(request, None)

    def remember(self, token: str, request: int, now: float) -> None:
        """Note a transaction that is committed, and forget what is too old."""
        # Those that ended first stand first: one that ends moves to the end.
        self._uses.pop(token, None)
        self._uses[token] = _Use(request, now + _TOKEN_S)
        oldest = next(iter(self._uses))
        ends_at = self._uses[oldest].ends_at
        if ends_at is not None and ends_at <= now:
            del self._uses[oldest]
