"""The simulated shop: a behaviour model (README.md) whose events go to Kafka or to a file."""
