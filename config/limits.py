"""Limits of the AWS services, each with its source; settings above them are refused."""

from typing import Final

# Amazon SQS Developer Guide, "Amazon SQS message quotas".
SQS_BATCH_ENTRIES: Final = 10
SQS_BATCH_BYTES: Final = 1_048_576
SQS_WAIT_SECONDS: Final = 20
SQS_VISIBILITY_TIMEOUT_SECONDS: Final = 43_200
SQS_IN_FLIGHT_MESSAGES: Final = 120_000
SQS_MESSAGE_ATTRIBUTES: Final = 10

# Amazon DynamoDB Developer Guide, "Service, account, and table quotas".
DYNAMODB_TRANSACT_ACTIONS: Final = 100
DYNAMODB_BATCH_GET_KEYS: Final = 100
DYNAMODB_BATCH_STATEMENTS: Final = 25
SEATS_PER_TRANSACTION: Final = DYNAMODB_TRANSACT_ACTIONS - 1
"""One action of the transaction is the capacity's decrement."""

# Amazon EventBridge API Reference, "PutEvents" (1 MB since January 2026, 256 KB before).
EVENTBRIDGE_BATCH_ENTRIES: Final = 10
EVENTBRIDGE_BATCH_BYTES: Final = 1_048_576
EVENTBRIDGE_TIME_BYTES: Final = 14

# Amazon ECS Developer Guide, "Task definition parameters": stopTimeout on Fargate.
ECS_STOP_TIMEOUT_SECONDS: Final = 120
