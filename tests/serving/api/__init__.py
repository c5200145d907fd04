"""What the API's tests share."""

NO_HANG = 8
"""Seconds: a hang would last a minute. What it takes is measured by bench.serving."""
