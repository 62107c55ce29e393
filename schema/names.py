"""Names that code, templates and SQL share; a test ties each of them to the templates."""

from typing import Final

SCHEMA_VERSION: Final = 1

WORKER_SOURCE: Final = "kr.ac.dongduk.worker"
INGEST_SOURCE: Final = "kr.ac.dongduk.ingest"
PARTICIPATION_PROCESSED: Final = "ParticipationProcessed"
REQUEST_FAILED: Final = "RequestFailed"
PARTICIPATION_REQUESTED: Final = "ParticipationRequested"

# g1 §8
RULE_NAME: Final = "rule-worker-to-firehose"
LAKE_ROOT: Final = "events/"
LAKE_PREFIX: Final = "events/dt=!{timestamp:yyyy-MM-dd}/hour=!{timestamp:HH}/"
LAKE_ERROR_PREFIX: Final = "events/error/"
LAKE_TABLE: Final = "participation_logs"

# domain §3
PARTITION_KEY: Final = "PK"
SORT_KEY: Final = "SK"
USER_INDEX: Final = "GSI1"
USER_INDEX_PARTITION_KEY: Final = "GSI1PK"
USER_INDEX_SORT_KEY: Final = "GSI1SK"
WINNERS_INDEX: Final = "GSI2"
WINNERS_INDEX_PARTITION_KEY: Final = "GSI2PK"
WINNERS_INDEX_SORT_KEY: Final = "GSI2SK"
TTL_ATTRIBUTE: Final = "ttl"

# Message attributes that our programs set (domain §6).
REASON_CODE_ATTRIBUTE: Final = "reasonCode"
SOURCE_MESSAGE_ID_ATTRIBUTE: Final = "sourceMessageId"
ATTEMPT_ATTRIBUTE: Final = "attempt"
REDRIVEN_AT_ATTRIBUTE: Final = "redrivenAt"
