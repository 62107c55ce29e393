"""Tests of the embedded AWS, the stack and the Firehose stand-in."""
