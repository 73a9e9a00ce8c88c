"""What a run keeps on disk: its folder, verified checkpoints, the best individual, and the lines of its journal."""
