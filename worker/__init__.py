"""The daemon that decides each request exactly once; read pipeline.py first."""
