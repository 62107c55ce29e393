"""The load's generator against a service over real sockets."""

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import anyio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from config.settings import TokenSettings
from operations.load import generator, people
from operations.load.generator import Manner
from operations.load.tally import Outcome, Result
from operations.load.target import LoadError, Target
from runtime.stop import Stop
from tests.operations.load.service import Reply, Service, accept, serving

SETTINGS = TokenSettings(
    jwt_secret="a secret of more than thirty-two bytes",  # type: ignore[arg-type]
    jwt_audience="clicks",
    jwt_issuer=None,
)
BUSY = Reply(503, {"type": "urn:participation:problem:unavailable"}, {"Retry-After": "0"})


async def load(
    url: str,
    due: Sequence[float],
    manner: Manner | None = None,
    *,
    users: int | None = None,
    stop: Stop | None = None,
    event_id: str = "event-1",
) -> tuple[Result, list[Outcome]]:
    outcomes: list[Outcome] = []
    persons = people.named("load", users, people.signer(SETTINGS, 600))
    with anyio.fail_after(60):
        result = await generator.run(
            Target(url, event_id),
            people.clicks(due, persons),
            manner or Manner(),
            stop=stop,
            settled=outcomes.append,
        )
    return result, outcomes


async def test_each_click_is_another_users_and_its_answer_is_counted() -> None:
    async with serving() as service:
        result, outcomes = await load(service.url, [0.0, 0.01, 0.02])

    assert result.by_status == {202: 3}
    assert result.accepted == result.sending.sent == result.sending.scheduled == 3
    assert not result.by_problem
    assert [one.user for one in service.asked] == ["load-0000000", "load-0000001", "load-0000002"]
    assert {o.request_id for o in outcomes} == {"request-1", "request-2", "request-3"}
    assert service.asked[0].line == "POST /events/event-1/participations HTTP/1.1"
    assert service.asked[0].headers["content-length"] == "0"


async def test_a_url_may_have_a_path_and_an_event_any_name() -> None:
    async with serving() as service:
        await load(f"{service.url}/api/", [0.0], event_id="a/b c?ü")

    (asked,) = service.asked
    assert asked.line == "POST /api/events/a%2Fb%20c%3F%C3%BC/participations HTTP/1.1"
    assert asked.headers["host"] == service.url.removeprefix("http://")


async def test_clicks_are_sent_though_not_one_has_been_answered() -> None:
    all_came = anyio.Event()

    async def all_together(service: Service, number: int) -> Reply:
        if number == 50:
            all_came.set()
        await all_came.wait()
        return await accept(service, number)

    async with serving(all_together) as service:
        result, _ = await load(service.url, [0.002 * n for n in range(50)])

    assert result.by_status == {202: 50}
    assert result.sending.connections == service.most_open == 50


async def test_no_click_is_sent_before_its_time() -> None:
    async with serving() as service:
        _, outcomes = await load(service.url, [0.0013 * n for n in range(200)])

    # What was sent early would have waited for its answer longer than since its time.
    assert all(one.latency_ms >= one.service_ms > 0 for one in outcomes)


async def test_latency_counts_from_the_scheduled_moment_where_a_click_waits_its_turn() -> None:
    async def slow_at_first(service: Service, number: int) -> Reply:
        if number == 1:
            await anyio.sleep(0.5)
        return await accept(service, number)

    async with serving(slow_at_first) as service:
        result, _ = await load(service.url, [0.001 * n for n in range(100)], Manner(connections=1))

    assert service.most_open == 1
    assert 0 < result.sending.held <= 99 <= result.sending.late
    assert result.sending.latest_ms > 350
    assert result.latency is not None
    assert result.service is not None
    # 99 clicks were due within 0.1 s, and could not be answered within the first 0.5 s.
    assert result.latency.p50 > 350
    assert result.service.p50 < result.latency.p50


async def test_there_are_never_more_connections_than_allowed() -> None:
    async with serving() as service:
        result, _ = await load(service.url, [0.0] * 200, Manner(connections=7))

    assert result.by_status == {202: 200}
    assert 1 < result.sending.connections <= 7
    assert service.most_open <= 7


async def test_after_503_a_click_is_made_again_only_if_that_is_wanted() -> None:
    async def busy_at_first(service: Service, number: int) -> Reply:
        user = service.asked[number - 1].user
        is_first = user not in {asked.user for asked in service.asked[: number - 1]}
        return BUSY if is_first else await accept(service, number)

    async with serving(busy_at_first) as service:
        result, _ = await load(service.url, [0.0] * 3, Manner(tries=2))
        assert result.by_status == {202: 3}
        assert result.retries == 3
        assert result.sending.sent == 3
        assert len(service.asked) == 6
    async with serving(busy_at_first) as service:
        result, _ = await load(service.url, [0.0] * 3)
    assert result.by_status == {503: 3}
    assert result.by_problem == {"unavailable": 3}
    assert result.retries == 0


async def test_a_click_that_stays_busy_ends_after_its_last_try() -> None:
    async def busy(_service: Service, _number: int) -> Reply:
        return BUSY

    async with serving(busy) as service:
        result, _ = await load(service.url, [0.0], Manner(tries=4))

    assert result.by_status == {503: 1}
    assert result.retries == 3
    assert len(service.asked) == 4


async def test_the_wait_that_the_service_asks_for_is_kept() -> None:
    async def once_busy(service: Service, number: int) -> Reply:
        return Reply(503, {}, {"retry-AFTER": "2"}) if number == 1 else await accept(service, 2)

    async with serving(once_busy) as service:
        await load(service.url, [0.0], Manner(tries=2))

    first, second = service.asked_at
    assert second - first >= 1.99


async def test_other_refusals_are_final_and_counted_by_their_kind() -> None:
    kinds = {1: (409, "event-not-open"), 2: (429, "too-many-requests"), 3: (401, "unauthorized")}

    async def refuse(_service: Service, number: int) -> Reply:
        status, kind = kinds[number]
        return Reply(status, {"type": f"urn:participation:problem:{kind}"})

    async with serving(refuse) as service:
        result, _ = await load(service.url, [0.0, 0.05, 0.1], Manner(tries=5))

    assert result.by_status == {409: 1, 429: 1, 401: 1}
    assert set(result.by_problem) == {"event-not-open", "too-many-requests", "unauthorized"}
    assert result.errors_share == 1


async def test_users_who_click_again_are_counted_as_the_service_says() -> None:
    async def know(service: Service, _number: int) -> Reply:
        user = service.asked[-1].user
        again = sum(one.user == user for one in service.asked) > 1
        return Reply(document={"requestId": user, "isDuplicate": again})

    async with serving(know) as service:
        result, outcomes = await load(service.url, [0.02 * n for n in range(10)], users=4)

    assert result.accepted == 10
    assert result.duplicates == 6
    assert len({outcome.request_id for outcome in outcomes}) == 4


async def test_a_connection_that_ends_without_an_answer_is_one_error() -> None:
    async def hang_up(service: Service, number: int) -> Reply:
        return Reply(raw=b"", closes=True) if number == 2 else await accept(service, number)

    async with serving(hang_up) as service:
        result, _ = await load(service.url, [0.0, 0.05, 0.1])

    assert result.by_status == {202: 2, 0: 1}
    assert result.by_problem == {"connection-lost": 1}
    assert service.connections == 2


async def test_a_connection_that_the_service_closes_after_an_answer_is_replaced() -> None:
    async def close(_service: Service, _number: int) -> Reply:
        return Reply(closes=True)

    async with serving(close) as service:
        result, _ = await load(service.url, [0.0] * 5, Manner(connections=1))

    assert result.by_status == {202: 5}
    assert service.connections == 5


async def test_a_connection_that_the_service_closes_while_it_is_idle_is_not_used_again() -> None:
    async def close_silently(_service: Service, _number: int) -> Reply:
        return Reply(raw=b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}", closes=True)

    async with serving(close_silently) as service:
        result, _ = await load(service.url, [0.0, 0.5, 1.0])

    assert result.by_status == {202: 3}
    assert service.connections == 3


async def test_who_is_not_answered_in_time_is_an_error_that_took_that_long() -> None:
    async def never(_service: Service, _number: int) -> Reply:
        await anyio.sleep_forever()
        raise AssertionError

    async with serving(never) as service:
        manner = Manner(timeout_s=0.3, patience_s=40)
        result, outcomes = await load(service.url, [0.0, 0.0], manner)

    assert result.by_status == {0: 2}
    assert result.by_problem == {"timed-out": 2}
    assert all(one.latency_ms >= 300 for one in outcomes)


async def test_clicks_that_never_find_a_connection_are_errors_too() -> None:
    async def never(_service: Service, _number: int) -> Reply:
        await anyio.sleep_forever()
        raise AssertionError

    manner = Manner(connections=1, timeout_s=30, patience_s=0.2)
    async with serving(never) as service:
        result, outcomes = await load(service.url, [0.0] * 4, manner)

    assert result.by_problem == {"timed-out": 1, "not-sent": 3}
    assert result.sending.sent == 1
    assert result.sending.scheduled == len(outcomes) == 4


async def test_a_service_that_is_gone_amid_the_load_is_an_error_for_each_click() -> None:
    async def once(service: Service, _number: int) -> Reply:
        service.closing.set()
        return Reply(closes=True)

    async with serving(once) as service:
        result, _ = await load(service.url, [0.0, 0.2, 0.3], Manner(timeout_s=2))

    assert result.by_status == {202: 1, 0: 2}
    assert result.by_problem == {"no-connection": 2}


async def test_nonsense_instead_of_http_is_no_answer() -> None:
    async def greet(_service: Service, _number: int) -> Reply:
        return Reply(raw=b"220 mail.example ESMTP\r\n")

    async with serving(greet) as service:
        result, _ = await load(service.url, [0.0])

    assert result.by_problem == {"connection-lost": 1}


async def test_a_stop_ends_the_sending_and_keeps_what_was_answered() -> None:
    stop = Stop()

    async def stop_at_third(service: Service, number: int) -> Reply:
        if number == 3:
            stop.request()
        return await accept(service, number)

    async with serving(stop_at_third) as service:
        result, outcomes = await load(service.url, [0.1 * n for n in range(1_000)], stop=stop)

    assert result.is_interrupted
    assert result.by_status[202] >= 3
    assert result.sending.scheduled == len(outcomes) < 1_000


async def test_clicks_that_wait_to_be_made_again_at_a_stop_keep_their_last_answer() -> None:
    stop = Stop()

    async def busy(_service: Service, number: int) -> Reply:
        if number == 2:
            stop.request()
        return Reply(503, {}, {"Retry-After": "30" if number == 1 else "0"})

    async with serving(busy) as service:
        manner = Manner(tries=3, connections=1)
        result, _ = await load(service.url, [0.0, 0.0], manner, stop=stop)

    assert result.by_status == {503: 2}
    assert result.retries == 0
    assert len(service.asked) == 2


async def test_a_service_that_does_not_listen_is_named_before_the_load_begins() -> None:
    async with serving() as service:
        url = service.url
    with pytest.raises(LoadError, match=r"no way to localhost:\d+: "):
        await load(url, [0.0])


async def test_a_service_with_a_trusted_certificate_is_spoken_to_by_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = _certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    async with serving(tls=context) as service:
        with pytest.raises(LoadError, match="CERTIFICATE_VERIFY_FAILED"):
            await load(service.url, [0.0])
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        result, _ = await load(service.url, [0.0, 0.05])

    assert result.by_status == {202: 2}


def _certificate(folder: Path) -> Path:
    """A certificate of this machine, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path
