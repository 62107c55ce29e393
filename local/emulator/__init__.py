"""The embedded AWS: MiniStack, its environment, and the templates deployed to it."""
