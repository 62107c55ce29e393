"""The command line `participation`, one module a group of commands."""
