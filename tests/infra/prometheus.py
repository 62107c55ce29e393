"""A real Prometheus that scrapes programs of this machine by the project's own rules."""

import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import anyio
import httpx
import psutil
import yaml

from tests.faults.program import Program, started
from tests.tools import missing

RULES: Final = Path(str(files("infra"))) / "prometheus" / "rules.yaml"
_START_WITHIN_S: Final = 30.0
_POLL_S: Final = 0.1


class Prometheus:
    """A running Prometheus, asked over HTTP."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """Evaluate an expression now; fails where Prometheus cannot read it."""
        return (await self._data("query", query=expression))["result"]  # type: ignore[no-any-return]

    async def value(self, expression: str) -> float:
        """The one sample of an expression, 0 where there is none."""
        result = await self.query(expression)
        return float(result[0]["value"][1]) if result else 0.0

    async def firing(self) -> dict[str, dict[str, str]]:
        """The alerts that fire, by name, with their labels."""
        alerts = (await self._data("alerts"))["alerts"]
        return {a["labels"]["alertname"]: a["labels"] for a in alerts if a["state"] == "firing"}

    async def rule_errors(self) -> list[str]:
        """What went wrong in the last evaluation of any rule."""
        groups = (await self._data("rules"))["groups"]
        return [rule["lastError"] for g in groups for rule in g["rules"] if "lastError" in rule]

    async def rule_names(self) -> list[str]:
        """The rules that it has loaded."""
        groups = (await self._data("rules"))["groups"]
        return [rule["name"] for group in groups for rule in group["rules"]]

    async def _data(self, path: str, **parameters: str) -> dict[str, Any]:
        answer = await self._client.get(f"/api/v1/{path}", params=parameters)
        document: dict[str, Any] = answer.json()
        assert document["status"] == "success", document
        data: dict[str, Any] = document["data"]
        return data


def in_a_hurry(rules: str) -> str:
    """The same rules, evaluated each second, their alerts without a waiting time."""
    document = yaml.safe_load(rules)
    for group in document["groups"]:
        group["interval"] = "1s"
        for rule in group["rules"]:
            rule.pop("for", None)
    return yaml.safe_dump(document)


@asynccontextmanager
async def prometheus(directory: Path, targets: Mapping[str, str]) -> AsyncIterator[Prometheus]:
    """Scrape each job's address every second until the block ends."""
    binary = shutil.which("prometheus")
    if binary is None:
        missing("prometheus is not installed (Debian: apt-get install prometheus)")
    (directory / "rules.yaml").write_text(in_a_hurry(RULES.read_text()))
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [address]}]}
            for job, address in targets.items()
        ],
    }
    (directory / "prometheus.yaml").write_text(yaml.safe_dump(configuration))
    command = [
        binary,
        f"--config.file={directory / 'prometheus.yaml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    ]
    async with started(command, {}) as program:
        url = await _url(program)
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            yield Prometheus(client)


async def _url(program: Program) -> str:
    """Where it listens, as the system knows: it chose a free port itself."""
    with anyio.move_on_after(_START_WITHIN_S):
        while program.is_running:
            for connection in psutil.Process(program.pid).net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN:
                    return f"http://127.0.0.1:{connection.laddr.port}"
            await anyio.sleep(_POLL_S)
    raise AssertionError(f"Prometheus did not start:{os.linesep}{program.output}")
