"""Parts of the vary phase."""
