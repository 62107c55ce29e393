"""Making a deployment ready for an event ahead of it, and taking that back."""
