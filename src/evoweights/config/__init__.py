"""Configurations: YAML and overrides in, checked component instances out."""
