"""What every long-running program here needs, and AWS has no part in."""
