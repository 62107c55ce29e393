"""What ingest uses of uvicorn beyond its documentation: each name, so that an upgrade shows it.

`pyproject.toml` bounds uvicorn's version above for their sake. Where one is gone, look at what has
taken its place in `ingest/server.py` or `ingest/protocol.py` before raising the bound.
"""

import inspect
import re
import tomllib
from pathlib import Path

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

OVERRIDDEN = {
    uvicorn.Server: {"startup": ["self", "sockets"], "capture_signals": ["self"]},
    HttpToolsProtocol: {
        "connection_made": ["self", "transport"],
        "connection_lost": ["self", "exc"],
        "data_received": ["self", "data"],
        "on_message_begin": ["self"],
        "on_headers_complete": ["self"],
        "send_400_response": ["self", "msg"],
        "_unsupported_upgrade_warning": ["self"],
    },
}
"""Methods that ours replace and call, with the parameters that they must keep."""
CALLED = {uvicorn.Server: {"serve": ["self", "sockets"]}}


@pytest.mark.parametrize(
    ("owner", "name", "parameters"),
    [
        (owner, name, parameters)
        for group in (OVERRIDDEN, CALLED)
        for owner, names in group.items()
        for name, parameters in names.items()
    ],
)
def test_a_method_is_there_with_its_parameters(
    owner: type, name: str, parameters: list[str]
) -> None:
    method = getattr(owner, name, None)

    assert method is not None, f"uvicorn {uvicorn.__version__} has no {owner.__name__}.{name}"
    assert list(inspect.signature(method).parameters) == parameters


def test_the_server_s_state_knows_tasks_and_connections() -> None:
    state = ServerState()

    assert (state.tasks, state.connections) == (set(), set())
    assert not uvicorn.Server(uvicorn.Config(app="none")).should_exit


def test_a_connection_has_the_loop_and_the_transport_that_ours_uses() -> None:
    source = inspect.getsource(HttpToolsProtocol)

    for attribute in ("loop", "transport"):
        assert re.search(rf"self\.{attribute}\b.*=", source), attribute


def test_ours_overrides_nothing_else() -> None:
    source = (Path(__file__).parents[2] / "ingest" / "protocol.py").read_text("utf-8")
    ours = set(re.findall(r"def (\w+)\(", source)) - {"__init__"}
    theirs = {name for name in ours if hasattr(HttpToolsProtocol, name)}

    assert theirs == set(OVERRIDDEN[HttpToolsProtocol])


def test_the_version_is_bounded_above() -> None:
    document = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    (requirement,) = [d for d in document["project"]["dependencies"] if d.startswith("uvicorn")]
    major, minor = map(int, uvicorn.__version__.split(".")[:2])

    assert requirement.endswith(f"<{major}.{minor + 1}")
