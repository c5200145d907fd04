"""The API of the local stack."""

import pytest

from local.servers import SERVING
from local.stack import Stack


@pytest.fixture(scope="module")
def api(local_stack: Stack) -> str:
    """The address of the API of the stack."""
    local_stack.up()
    return local_stack.server(SERVING).ui
