"""The embedded AWS, the Firehose stand-in, and the demo."""
