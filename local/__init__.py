"""The platform's servers as local processes on loopback: ``python -m local up``."""
