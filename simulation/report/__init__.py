"""What a run adds up to, for a terminal, for a program and as a page."""
