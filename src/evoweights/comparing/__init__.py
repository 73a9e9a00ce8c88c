"""What runs have reached for what they have spent, side by side, from their folders alone."""
