"""The demo: one event, one burst, and the findings."""
