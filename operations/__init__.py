"""What an operator does to a deployment, for the command line and for tests."""
