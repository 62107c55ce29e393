"""The browser example of docs/api.md, as it stands there, in a browser and on another origin."""

import re
import subprocess
from pathlib import Path
from typing import Final

import anyio
import pytest

from runtime.errors import unwrapped
from schema import keys
from schema.states import Status
from tests.browser import chromium
from tests.faults.actions import Fault, Refuse
from tests.ingest.live import Live
from tests.ingest.support import token
from tests.worker.support import until

_PAGE: Final = Path(__file__).parents[2] / "docs" / "api.md"
_SCRIPT: Final = Path(__file__).with_name("browser_example.mjs")
_REFUSED: Final = r'^ingest_requests_total{route="participate",status="503"} [1-9]'


def example(url: str, event: str, user: str) -> str:
    """The example, with its three values replaced."""
    [page] = re.findall(r"```html\n(.*?)```", _PAGE.read_text(), re.DOTALL)
    values = {"http://127.0.0.1:8080": url, '"first"': f'"{event}"', "eyJ…": token(user)}
    for given, value in values.items():
        assert page.count(given) == 1, given
        page = page.replace(given, value)
    return str(page)


@pytest.mark.slow
async def test_the_example_shows_the_seats_clicks_waits_and_shows_the_result(
    live: Live, tmp_path: Path
) -> None:
    file = tmp_path / "page.html"
    shown: list[subprocess.CompletedProcess[str]] = []

    async def show() -> None:
        shown.append(await anyio.to_thread.run_sync(chromium.run, _SCRIPT, str(file)))

    async def is_over() -> bool:
        return bool(shown)

    # Where there is no browser, the test is skipped: that must not be hidden in a group.
    with unwrapped():
        async with live.ingest(cors_origins="*") as http:
            file.write_text(example(str(http.base_url).rstrip("/"), "event-1", "user-1"))

            async def was_refused() -> bool:
                figures = (await http.get("/metrics")).text
                return bool(shown) or bool(re.search(_REFUSED, figures, re.MULTILINE))

            with unwrapped():
                async with anyio.create_task_group() as tasks:
                    # The click is refused, with Retry-After: the page makes it again.
                    with live.proxy.add(Fault("SendMessageBatch", Refuse())):
                        tasks.start_soon(show)
                        await until(was_refused)
                    async with live.world.worker():
                        await until(is_over)
            figures = (await http.get("/metrics")).text
    item = await live.world.item(keys.request_id("event-1", "user-1"))

    [browser] = shown
    assert browser.returncode == 0, browser.stdout + browser.stderr
    assert browser.stdout.splitlines()[:3] == ["5 seats", "in the queue …", "SUCCESS"]
    assert item.status is Status.SUCCEEDED
    for line in (
        'ingest_requests_total{route="event",status="200"} 1.0',
        'ingest_requests_total{route="event",status="204"} 1.0',
        'ingest_requests_total{route="participate",status="204"} 1.0',
        'ingest_requests_total{route="participate",status="202"} 1.0',
    ):
        assert line in figures.splitlines()
