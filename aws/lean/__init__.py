"""The lean client: SQS, DynamoDB and EventBridge over its own connections."""
