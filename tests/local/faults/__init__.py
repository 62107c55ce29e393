"""Tests of the proxy's HTTP and of its connections."""
