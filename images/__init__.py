"""The platform's container images, one folder each, and what builds them."""
