"""A small server in place of a real one, for tests of the supervision."""

import socket
import sys

from local.ports import HOST
from local.servers import Server
from local.site import Site

SERVE = "import http.server,sys; http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), None).serve_forever()"


def web_server(name: str, after: tuple[str, ...] = (), code: str = SERVE) -> Server:
    """A web server under the name, and at the port, of one of the stack's."""

    def answers(site: Site) -> None:
        socket.create_connection((HOST, site.ports.as_dict()[name]), 1).close()

    return Server(
        name=name,
        command=lambda site: [sys.executable, "-c", code, str(site.ports.as_dict()[name])],
        conf=(),
        ports=(name,),
        ready=answers,
        after=after,
    )
