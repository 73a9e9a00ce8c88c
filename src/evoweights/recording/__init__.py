"""The record phase: what a generation was, as plain values."""
