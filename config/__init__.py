"""Settings from the environment, logging, and the limits of AWS as named constants."""
