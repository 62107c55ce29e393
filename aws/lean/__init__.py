"""The lean client: SQS, DynamoDB and EventBridge over connections of its own."""
