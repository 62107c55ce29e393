"""SQS: standard queues, their messages, and the way to the dead-letter queue."""
