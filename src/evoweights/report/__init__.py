"""Runs as a page to look at: one HTML file made from their folders, which needs nothing from elsewhere."""
