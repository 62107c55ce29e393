"""What goes wrong on the local machine, each in one sentence that a person can act on."""


class LocalError(Exception):
    """The local stack cannot run; the text says what is missing or what was refused."""
