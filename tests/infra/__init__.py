"""Tests that tie the templates to the code."""
