"""DynamoDB: one table with its indexes, its grammar and its throughput."""
