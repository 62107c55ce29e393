"""The shared contract: names, items, messages and events, without I/O and without a clock."""
