"""SQS, DynamoDB, EventBridge and Firehose as state machines, with AWS's semantics and limits."""
