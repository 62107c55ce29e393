"""Misspelt variables of ours are found, and other software's are left alone."""

import pytest

from config.near_misses import SETTINGS, near_misses

# Other software's, of shells, clouds, containers, CI and web servers.
FOREIGN = [
    "AWS_ACCESS_KEY_ID",
    "AWS_CA_BUNDLE",
    "AWS_CONFIG_FILE",
    "AWS_DEFAULT_REGION",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_SQS",
    "AWS_EXECUTION_ENV",
    "AWS_PROFILE",
    "AWS_REGIONS",
    "AWS_ROLE_ARN",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "CI",
    "COLORTERM",
    "COLUMNS",
    "COMPOSE_PROJECT_NAME",
    "DEBUG",
    "DISPLAY",
    "DOCKER_HOST",
    "EDITOR",
    "ENV",
    "GITHUB_TOKEN",
    "GOPATH",
    "HOME",
    "HOST",
    "HOSTNAME",
    "HTTPS_HOST",
    "HTTPS_PORT",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "INGEST_PORT",
    "INGEST_PORT_8080_TCP",
    "INGEST_SERVICE_HOST",
    "INGEST_SERVICE_PORT",
    "JWT_PUBLIC_KEY",
    "JWT_TOKEN",
    "KUBERNETES_PORT",
    "KUBERNETES_SERVICE_PORT_HTTPS",
    "LANG",
    "LC_ALL",
    "LINES",
    "LOGNAME",
    "MAIL",
    "MAKEFLAGS",
    "MAX_REQUESTS",
    "MAX_WORKERS",
    "NODE_ENV",
    "NO_PROXY",
    "OLDPWD",
    "PATH",
    "PGPORT",
    "PORT",
    "PWD",
    "PYTHONPATH",
    "QUEUE_NAME",
    "RAILS_ENV",
    "REDIS_URL",
    "SECRET_KEY",
    "SHELL",
    "SHLVL",
    "SSH_AUTH_SOCK",
    "TABLE",
    "TERM",
    "TMPDIR",
    "TOKEN",
    "TZ",
    "USER",
    "VIRTUAL_ENV",
    "WEB_CONCURRENCY",
    "WORKERS",
    "WORKER_CLASS",
    "WORKER_PORT",
    "WORKER_SERVICE_PORT",
    "XDG_CACHE_HOME",
]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("POLERS", "POLLERS"),
        ("POLLER", "POLLERS"),
        ("PROCESORS", "PROCESSORS"),
        ("MAX_INFLIGHT", "MAX_IN_FLIGHT"),
        ("JWT_SECRETS", "JWT_SECRET"),
        ("TABEL_NAME", "TABLE_NAME"),
        ("LOGLEVEL", "LOG_LEVEL"),
        ("BATCH_LINGER_S", "BATCH_LINGER_MS"),
        ("QEUE_URL", "QUEUE_URL"),
    ],
)
def test_a_misspelt_name_is_found_with_the_right_one(name: str, meant: str) -> None:
    assert near_misses([name, "PATH"]) == {name: meant}


def test_other_software_s_variables_are_left_alone() -> None:
    assert near_misses(FOREIGN) == {}
    assert near_misses(SETTINGS) == {}


def test_a_name_whose_setting_is_given_is_somebody_else_s() -> None:
    assert near_misses(["POLERS", "POLLERS"]) == {}


def test_the_command_line_s_own_variables_count_as_well() -> None:
    others = {"LAKE_BUCKET", "WORKER_HTTP_PORT"}
    assert near_misses(["LAKE_BUKET", "WORKER_HTTP_PORT"], others) == {"LAKE_BUKET": "LAKE_BUCKET"}
