"""A fast stand-in for SQS, DynamoDB and EventBridge that speaks their wire format and counts."""
