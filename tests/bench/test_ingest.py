"""Measurements of ingest services under load, and their section of the report."""

import os
from dataclasses import replace

import pytest

from bench import ingest
from bench.environment import BenchError, Cores
from bench.ingest_run import Measurement, measure
from bench.ingest_services import (
    OURS,
    OURS_ES256,
    OURS_ON_AIOBOTO3,
    OURS_RS256,
    PLAIN,
    SERVICES,
    Service,
)
from bench.stub_process import Stub

ANYWHERE = Cores(None, None)

# A service that answers anything with one status, and does nothing.
IDLER = """
import socket, sys, uvicorn
async def app(scope, receive, send):
    headers = [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": STATUS, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
listener = socket.create_server(("127.0.0.1", 0), backlog=512)
url = "http://127.0.0.1:%d" % listener.getsockname()[1]
print('{"event":"ingest_started","url":"%s"}' % url, file=sys.stderr, flush=True)
config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False)
uvicorn.Server(config).run(sockets=[listener])
"""


def few(service: Service) -> Service:
    return replace(service, requests=300, lone_requests=5)


def idler(status: int) -> Service:
    program = IDLER.replace("STATUS", str(status))
    return replace(few(PLAIN), name="idler", arguments=["-c", program])


def measured(
    service: Service, cpu_s: float, lone_p50_ms: float, latency_ms: float = 0.0
) -> Measurement:
    return Measurement(
        service=service.name,
        latency_ms=latency_ms,
        requests=1000,
        cpu_s=cpu_s,
        wall_s=cpu_s,
        calls=300,
        p50_ms=10,
        p99_ms=20,
        lone_p50_ms=lone_p50_ms,
        lone_p99_ms=lone_p50_ms,
        rss_mib=50,
        stub_utilisation=0.2,
        load_utilisation=0.2,
    )


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_every_service_does_the_whole_job(stub: Stub, service: Service) -> None:
    found = measure(few(service), 1.0, stub, ANYWHERE)
    assert found.requests == 300
    assert 0 < found.cpu_s <= found.wall_s * (os.cpu_count() or 1)
    assert 3 <= found.lone_p50_ms <= found.lone_p99_ms
    assert 3 <= found.p50_ms <= found.p99_ms
    assert 0 < found.other_core < 2
    if service is PLAIN:
        assert found.calls == 3 * 300
    else:
        assert 0.18 <= found.calls_per_request <= 0.5


def test_a_service_that_cannot_start_is_an_error_with_its_log(stub: Stub) -> None:
    broken = replace(OURS, environment={**OURS.environment, "JWT_SECRET": "short"})
    with pytest.raises(BenchError, match=r"ended with code 2:\n(.*\n)*.*JWT_SECRET"):
        measure(broken, 0.0, stub, ANYWHERE)


def test_a_service_that_refuses_requests_is_an_error_not_a_figure(stub: Stub) -> None:
    with pytest.raises(BenchError, match=r"idler accepted 0 of 256 requests.*'503': 256"):
        measure(idler(503), 0.0, stub, ANYWHERE)


def test_a_service_that_accepts_but_does_nothing_is_an_error_not_a_figure(stub: Stub) -> None:
    with pytest.raises(BenchError, match=r"idler left 0 of 561 requests QUEUED.*sent 0 messages"):
        measure(idler(202), 0.0, stub, ANYWHERE)


def test_ratios_are_taken_run_by_run() -> None:
    section = ingest.section_of(
        [
            *(measured(OURS, cpu_s, 5) for cpu_s in (1.0, 2.0, 9.0)),
            *(measured(PLAIN, cpu_s, 5) for cpu_s in (6.0, 12.0, 63.0)),
        ]
    )
    ours, plain = section.tables[0].rows
    assert (ours[0], ours[2]) == ("ours", "6.00 (6.00–7.00)")  # noqa: RUF001 - a range
    assert (plain[0], plain[2]) == ("plain", "1.00")


def test_services_with_other_tokens_than_the_plain_handlers_have_no_ratio_to_it() -> None:
    services = (OURS, OURS_RS256, OURS_ES256, OURS_ON_AIOBOTO3, PLAIN)
    section = ingest.section_of([measured(service, 1.0, 5) for service in services])
    assert [row[2] for row in section.tables[0].rows] == ["1.00", "", "", "1.00", "1.00"]


def test_the_results_name_what_go_took_and_what_it_leaves_out() -> None:
    section = ingest.section_of([])
    assert [row[1] for row in section.tables[-1].rows[1:]] == ["2,078", "11,692 (quiet: 13,324)"]
    assert "no part of the project" in section.text[-1]


def test_the_targets_say_which_are_missed() -> None:
    good = ingest.section_of([measured(OURS, 1.0, 12), measured(PLAIN, 5.0, 3)]).closing
    assert [line[:5] for line in good[1:4]] == ["- Met", "- Met", "- Met"]
    slow = measured(OURS, 1.0, 12 + 3.3)
    bad = ingest.section_of([replace(slow, calls=351), measured(PLAIN, 4.9, 3)]).closing
    assert [line[:8] for line in bad[1:4]] == ["- Missed", "- Missed", "- Missed"]
    assert "4.90 times" in bad[1]
    assert "0.351 AWS calls" in bad[2]
    assert "+4.10 ms a step" in bad[3]


def test_the_results_say_where_ours_is_worse() -> None:
    closing = ingest.section_of([measured(OURS, 1.0, 12), measured(PLAIN, 5.0, 3)]).closing
    assert "Half of a lone client's answers take more than 12.0 ms in *ours*" in "\n".join(closing)


def test_a_busy_core_of_the_clients_is_reported() -> None:
    busy = replace(measured(OURS_ON_AIOBOTO3, 1.0, 3), load_utilisation=0.75)
    _, line = ingest.section_of([busy]).closing
    assert "95% busy with *ours, aioboto3*" in line


def test_a_service_that_shared_its_core_is_reported() -> None:
    disturbed = replace(measured(OURS, 1.0, 3), wall_s=2.0)
    _, line = ingest.section_of([measured(OURS, 1.0, 3), disturbed]).closing
    assert "*ours* ran for only 50% of the time" in line
