"""The command line `participation`, one module per group of commands."""
