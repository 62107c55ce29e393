"""The Firehose stand-in, which carries events into the lake as Firehose would."""
