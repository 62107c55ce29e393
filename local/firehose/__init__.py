"""The Firehose stand-in, which delivers events to the lake as Firehose would."""
