"""A plan against an account: what is there, what is needed, and the command that changes it."""
