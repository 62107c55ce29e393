"""Attacks on a running ingest: a program (`python -m tests.security`), and tests in short."""
