"""Where individuals live that are not mounted, and their way to the device and back."""
