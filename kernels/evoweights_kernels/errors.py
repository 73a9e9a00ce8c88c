"""The exceptions of this package."""


class KernelError(ValueError):
    """A gene kernel, a call of one, or a backend cannot do what was asked; the message says what to do."""


class CacheError(KernelError):
    """Generated code cannot be kept, for want of disk space, of a folder, or of the right to write there."""
