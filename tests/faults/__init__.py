"""Faults on the wire: a proxy between the real clients and the emulator, and its own tests."""
