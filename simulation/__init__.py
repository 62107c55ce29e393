"""AWS as a model with its limits, and the pipeline's programs run on it in virtual time."""
