"""What every long-running program here needs that has nothing to do with AWS."""
