"""Who may ask: by HTTP basic authentication, one password for all readers."""

import base64
import binascii
import secrets
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from contracts.errors import Mistake
from serving.api.problems import problem

USER: Final = "shop"
OPEN_PATHS: Final = frozenset({"/healthz"})
"""Asked by the kubelet, which has no password."""
MIN_LENGTH: Final = 12


def read_password(file: Path) -> str:
    """The password in a file. Raises :class:`Mistake` where there is none, or a short one."""
    try:
        password = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Mistake(f"the API's password cannot be read from {file}: {error}") from error
    if len(password) < MIN_LENGTH:
        raise Mistake(f"the API's password in {file} is shorter than {MIN_LENGTH} characters; take a longer one")
    return password


class Login:
    """Answers 401 to requests without user :data:`USER` and the password; what is asked of an app is for others."""

    def __init__(self, app: ASGIApp, password: str) -> None:
        self._app = app
        self._expected = f"{USER}:{password}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS or self._allowed(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        headers = {"WWW-Authenticate": 'Basic realm="ecommerce", charset="UTF-8"'}
        refusal = problem(401, f"log in as {USER} with the API's password", headers)
        await refusal(scope, receive, send)

    def _allowed(self, headers: Headers) -> bool:
        scheme, _, encoded = headers.get("authorization", "").partition(" ")
        try:
            given = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):
            return False
        return scheme.lower() == "basic" and secrets.compare_digest(given, self._expected)
