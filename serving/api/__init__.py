"""The serving views over HTTP: an API, a stream of what changes, and the shop's live page."""

from typing import Final

PORT: Final = 8050
"""Where it listens unless told otherwise."""
