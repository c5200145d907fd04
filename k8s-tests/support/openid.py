"""An OpenID provider on loopback, with TLS, whose answers may be spoilt; and a browser that is behind an ingress."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import flask
import httpx
import oidc_provider_mock
import trustme
from joserfc import jwt
from joserfc.jwk import RSAKey
from werkzeug.serving import make_server

TokenResponse = dict[str, Any]
Claims = dict[str, Any]
Spoil = Callable[["Provider", TokenResponse, Claims], TokenResponse]
"""Another token response in the place of this one, whose ID token has these claims."""


class Provider:
    """The provider; people are {name: groups}, and ``spoil`` changes what it answers the client."""

    def __init__(self, people: dict[str, list[str]]) -> None:
        users = [
            oidc_provider_mock.User(
                sub=f"id-of-{name}",
                claims={"preferred_username": name, "email": f"{name}@example.com", "groups": groups},
            )
            for name, groups in people.items()
        ]
        self.app = oidc_provider_mock.app(require_client_registration=True, require_nonce=True, user_claims=users)
        self.app.after_request(self._answer)
        self.spoil: Spoil | None = None
        self.issuer = ""
        self.header: dict[str, Any]
        self.key: RSAKey

    def sign(self, claims: Claims, key: RSAKey | None = None) -> str:
        """An ID token that says it is signed by the provider's key, whatever signs it."""
        return jwt.encode(self.header, claims, key or self.key, algorithms=["RS256"])

    def _answer(self, answer: flask.Response) -> flask.Response:
        if self.spoil and flask.request.path == "/oauth2/token" and answer.status_code == 200:
            self.key = RSAKey.import_key(flask.g.oidc_provider_mock_storage.jwk.as_dict(is_private=True))
            token = answer.get_json()
            signed = jwt.decode(token["id_token"], self.key, algorithms=["RS256"])
            self.header = dict(signed.header)
            answer.set_data(flask.json.dumps(self.spoil(self, token, dict(signed.claims))))
        return answer


@contextmanager
def provider(folder: Path, people: dict[str, list[str]]) -> Iterator[Provider]:
    """The provider at https://localhost; ``folder`` gets the certificate of its authority as ``ca.pem``."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    made = Provider(people)
    server = make_server("127.0.0.1", 0, made.app, threaded=True, ssl_context=context)
    made.issuer = f"https://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


class Ingress(httpx.BaseTransport):
    """Passes requests on as an ingress does that ends TLS: the host as it was asked for, the rest in headers."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._transport = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url.copy_with(scheme="http", host="127.0.0.1", port=self._port)
        headers = {**request.headers, "x-forwarded-proto": request.url.scheme, "x-forwarded-for": "192.0.2.1"}
        return self._transport.handle_request(
            httpx.Request(request.method, url, headers=headers, stream=request.stream, extensions=request.extensions)
        )


def browser(address: str, port: int, authority: Path) -> httpx.Client:
    """A browser of its own, with cookies, for which ``address`` is behind an ingress in front of the port."""
    return httpx.Client(
        mounts={address: Ingress(port)},
        verify=ssl.create_default_context(cafile=str(authority)),
        follow_redirects=True,
        timeout=120,
        trust_env=False,
    )
