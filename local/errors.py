"""What goes wrong on the local machine, each told in one sentence that a person can act on."""


class LocalError(Exception):
    """The local stack cannot be had; the text says what is missing or what refused."""
