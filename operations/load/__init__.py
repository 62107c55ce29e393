"""Load on ingest: clicks at a given rate, and what became of each."""
