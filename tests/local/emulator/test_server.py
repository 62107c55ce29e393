"""What the embedded AWS answers: our programs, and no page that is open in a browser here."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from aws.sdk import open_client
from local.emulator.ministack import Emulator
from local.faults.proxy import FaultProxy

QUEUE = {"Action": "CreateQueue", "Version": "2012-11-05"}
HANDSHAKE = {
    "Host": "iot.ap-northeast-2.localhost",
    "Sec-WebSocket-Protocol": "mqtt",
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.fixture(params=["the emulator", "the fault proxy"])
async def url(emulator: Emulator, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """Where the emulator is found, itself or through the proxy before it."""
    async with FaultProxy(emulator.endpoint_url) as proxy:
        yield emulator.endpoint_url if request.param == "the emulator" else proxy.endpoint_url


@pytest.fixture
async def http(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        yield client


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "none"},
        {"Host": "rebound.example"},
        {"Host": "127.0.0.1.rebound.example"},
        {"Host": "rebound-localhost"},
        {"Host": "rebound.example:127.0.0.1"},
        {"Host": ""},
    ],
    ids=lambda headers: ": ".join(*headers.items()),
)
async def test_a_page_gets_nothing_and_does_nothing(
    http: httpx.AsyncClient, headers: dict[str, str], emulator: Emulator
) -> None:
    # What a page may send to any server without asking it first (Fetch: a simple request).
    request = {**QUEUE, "QueueName": "made-by-a-page"}

    answer = await http.post("/", data=request, headers=headers)

    assert answer.status_code == 403
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "no web page may call" in answer.text
    async with open_client("sqs", emulator.connection) as sqs:
        made = await sqs.call("ListQueues", QueueNamePrefix="made-by-a-page")
    assert not made.get("QueueUrls")


async def test_a_page_may_not_ask_what_it_may_send(http: httpx.AsyncClient) -> None:
    asking = {"Origin": "https://evil.example", "Access-Control-Request-Method": "PUT"}

    answer = await http.options("/bucket", headers=asking)

    assert answer.status_code == 403
    assert "Access-Control-Allow-Origin" not in answer.headers


async def test_a_page_opens_no_web_socket(http: httpx.AsyncClient) -> None:
    answer = await http.get("/mqtt", headers={**HANDSHAKE, "Origin": "https://evil.example"})

    assert answer.status_code == 403


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:80", "LOCALHOST:1", "bucket.s3.localhost:4566", "[::1]:80"]
)
async def test_a_program_of_this_machine_is_answered_by_any_of_its_names(
    http: httpx.AsyncClient, host: str
) -> None:
    answer = await http.post(
        "/", data={"Action": "ListQueues", "Version": "2012-11-05"}, headers={"Host": host}
    )

    assert answer.status_code != 403, answer.text


async def test_the_sdk_is_answered(url: str, emulator: Emulator) -> None:
    async with open_client("sqs", replace(emulator.connection, endpoint_url=url)) as sqs:
        made = await sqs.call("CreateQueue", QueueName="made-by-a-program")
        await sqs.call("DeleteQueue", QueueUrl=made["QueueUrl"])

    assert made["QueueUrl"].endswith("/made-by-a-program")
