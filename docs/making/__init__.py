"""Makes the pages of the documentation site that nobody writes: the reference, the gallery, and pages from outside docs/."""
