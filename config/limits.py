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
DYNAMODB_TABLE_UNITS: Final = 40_000
"""Write and read units a second each, of a table or an index; a default that can be raised."""
DYNAMODB_NEW_WRITE_UNITS: Final = 4_000
DYNAMODB_NEW_READ_UNITS: Final = 12_000
SEATS_PER_TRANSACTION: Final = DYNAMODB_TRANSACT_ACTIONS - 1
"""One action of the transaction is the capacity's decrement."""

# Amazon EventBridge API Reference, "PutEvents" (1 MB since January 2026, 256 KB before).
EVENTBRIDGE_BATCH_ENTRIES: Final = 10
EVENTBRIDGE_BATCH_BYTES: Final = 1_048_576
EVENTBRIDGE_TIME_BYTES: Final = 14

# Amazon ECS Developer Guide, "Task definition parameters": stopTimeout on Fargate.
ECS_STOP_TIMEOUT_SECONDS: Final = 120

# AWS General Reference, "Amazon ECS endpoints and quotas": Fargate On-Demand vCPU resource count;
# a default that can be raised, and may be lower in a new account.
FARGATE_VCPUS: Final = 6

# "Quotas for your Application Load Balancers": reserved capacity units per Region.
RESERVED_LOAD_BALANCER_UNITS: Final = 0
