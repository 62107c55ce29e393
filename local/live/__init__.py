"""The live page of `participation local up`: what a flash event does, as it does it."""
