"""How the property tests run: a slow machine is no failure."""

from hypothesis import settings

settings.register_profile("pipeline", deadline=None, max_examples=60, print_blob=True)
settings.load_profile("pipeline")
