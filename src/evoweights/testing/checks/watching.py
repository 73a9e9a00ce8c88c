"""What torch is asked to do, watched operation by operation."""

from torch.utils._python_dispatch import TorchDispatchMode


class Watching(TorchDispatchMode):
    """A mode whose ``__torch_dispatch__`` is given every operation."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No, since nothing is compiled here: else torch would first load its compiler, which takes seconds."""
        return False
