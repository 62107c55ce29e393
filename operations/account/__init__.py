"""What an AWS account and a deployment have now, read and not changed."""
