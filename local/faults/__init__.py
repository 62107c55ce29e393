"""Faults on the wire between AWS's clients and the embedded AWS."""
