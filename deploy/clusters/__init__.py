"""The clusters that the platform is shown on: an existing one, kind, or a node built from packages."""
