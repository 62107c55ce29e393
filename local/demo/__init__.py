"""The demo: one event, one burst, and what was found."""
