"""The life of a run: from a configuration to its end, what it will take, and what it ran on."""
