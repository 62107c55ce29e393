"""Benchmarks: what a message and a request cost, against what people would write or pick."""
