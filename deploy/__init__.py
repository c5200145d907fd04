"""The platform on a cluster as ``make up`` installs it: charts, images, and waiting until it works."""
