"""The settings of simulated programs: what a scenario says, and never what the environment says."""

from typing import Any, Final

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from config.settings import IngestSettings, WorkerSettings
from simulation.aws.cloud import BUS_NAME, TABLE_NAME, queue_url
from simulation.scenario import Settings

QUEUE: Final = "requests"
DEAD_LETTER_QUEUE: Final = "requests-dlq"
LOST_EVENTS_QUEUE: Final = "lost-events"
_COMMON: Final = {
    "queue_url": queue_url(QUEUE),
    "dlq_url": queue_url(DEAD_LETTER_QUEUE),
    "lost_events_queue_url": queue_url(LOST_EVENTS_QUEUE),
    "table_name": TABLE_NAME,
    "event_bus_name": BUS_NAME,
    "log_level": "error",
    "environment": "simulation",
}


class _GivenAlone(BaseSettings):
    """Settings that look for nothing in the environment."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


class _Worker(_GivenAlone, WorkerSettings):
    pass


class _Ingest(_GivenAlone, IngestSettings):
    pass


def worker_settings(given: Settings, region: str, worker_id: str) -> WorkerSettings:
    """A worker's settings; raises pydantic's ValidationError for wrong ones."""
    values: dict[str, Any] = {**_COMMON, "aws_region": region, "worker_id": worker_id, **given}
    return _Worker(**values)


def ingest_settings(given: Settings, region: str) -> IngestSettings:
    """The ingest service's settings; raises pydantic's ValidationError for wrong ones."""
    secret = "no token is checked in a simulation"  # noqa: S105 - it opens nothing
    values: dict[str, Any] = {**_COMMON, "aws_region": region, "jwt_secret": secret, **given}
    return _Ingest(**values)
