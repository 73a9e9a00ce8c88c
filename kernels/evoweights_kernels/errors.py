"""The one exception of this package."""


class KernelError(ValueError):
    """A gene kernel, a call of one, or a backend cannot do what was asked; the message says what to do."""
