"""Mutations of the product, each of which the simulation must find: proof that it can fail."""
