"""The evidence report: its page, its charts, and the evidence they show."""
