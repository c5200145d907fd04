#!/usr/bin/env python3
"""Asks a server whether it serves: for the probes of Kubernetes, for init containers that wait (``--wait``), and for
the local stack.

Only Python's standard library: as ``probe`` it stands alone in every image, and runs every few seconds. Exit code 0, or
1 with one sentence.
"""

import argparse
import json
import re
import socket
import struct
import sys
import time

SECONDS = 5.0
"""For one answer."""
REPORT_SECONDS = 15.0
VERSION_1 = 0x80010000
CALL, REPLY = 1, 2
PLAIN = b"PLAIN"
START, OK, BAD, ERROR = 1, 2, 3, 4
"""Thrift's messages about a login."""
WORDS = {"srvr": "Mode: ", "ruok": "imok"}
"""Questions to ZooKeeper, and what is in a good answer."""


class Unready(Exception):
    """Why the server is not ready."""


def connect(address: str) -> socket.socket:
    """A connection to ``host:port``."""
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), SECONDS)


def tcp(address: str) -> None:
    """Something listens."""
    connect(address).close()


def http(url: str) -> bytes:
    """A page is answered with a status of 2xx; its body."""
    import urllib.request  # nearly half of what a probe takes that asks for no page

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=SECONDS) as answer:
        body: bytes = answer.read()
    return body


def page(url: str, text: str) -> None:
    """A page is answered that contains a text."""
    if text not in http(url).decode(errors="replace"):
        raise Unready(f"the page does not contain {text!r}")


def jmx(address: str, bean: str, conditions: list[str]) -> None:
    """A bean of Hadoop's or HBase's ``/jmx`` page has the attributes ``NAME=VALUE[,VALUE]`` or ``NAME>=NUMBER``."""
    from urllib.parse import quote

    beans = json.loads(http(f"http://{address}/jmx?qry={quote(bean, safe='')}"))["beans"]
    if not beans:
        raise Unready(f"{bean} is not there yet")
    for condition in conditions:
        match = re.fullmatch(r"([\w.]+)(>=|=)(.*)", condition)
        if not match:
            raise SystemExit(f"error: {condition!r} is neither NAME=VALUE nor NAME>=NUMBER")
        name, relation, wanted = match.groups()
        value = beans[0].get(name)
        if relation == "=" and str(value) not in wanted.split(","):
            raise Unready(f"{name} is {value}, not {wanted}")
        if relation == ">=" and not (isinstance(value, int | float) and value >= float(wanted)):
            raise Unready(f"{name} is {value}, not at least {wanted}")


def zookeeper(address: str, word: str) -> None:
    """The server answers ``srvr`` with its mode: it has joined its quorum; or ``ruok``: it runs, quorum or not."""
    with connect(address) as connection:
        connection.sendall(word.encode())
        answer = connection.makefile().read()
    if WORDS[word] not in answer:
        raise Unready(answer.strip() or "no answer")


def thrift(address: str, method: str) -> None:
    """A method without arguments is answered, and not with an exception.

    Source: https://github.com/apache/thrift/blob/master/doc/specs/thrift-binary-protocol.md, strict encoding.
    """
    name = method.encode()
    with connect(address) as connection:
        connection.sendall(struct.pack(">Ii", VERSION_1 | CALL, len(name)) + name + struct.pack(">i", 1) + b"\x00")
        header = connection.makefile("rb").read(4)
    if len(header) < 4:
        raise Unready("it hung up")
    kind = struct.unpack(">I", header)[0] & 0xFF
    if kind != REPLY:
        raise Unready(f"{method} was answered with message type {kind}")


def login(address: str, authority: str) -> None:
    """A server of Thrift with TLS asks for a login, and refuses one without a password, for which it asks nobody else.

    Source: https://github.com/apache/thrift/blob/master/lib/java/src/main/java/org/apache/thrift/transport/TSaslTransport.java
    """
    import ssl

    host = address.rpartition(":")[0]
    known = ssl.create_default_context(cafile=authority)
    with known.wrap_socket(connect(address), server_hostname=host) as connection:
        for status, text in ((START, PLAIN), (OK, b"\x00probe\x00")):
            connection.sendall(struct.pack(">BI", status, len(text)) + text)
        answer = connection.makefile("rb").read(1)
    if not answer:
        raise Unready("it hung up")
    if answer[0] not in (BAD, ERROR):
        raise Unready("it lets in without a password")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="probe", description="Ask a server whether it serves.")
    top.add_argument("--wait", type=float, default=0, metavar="SECONDS", help="ask again each second, for so long")
    kinds = top.add_subparsers(dest="kind", required=True)
    kinds.add_parser("tcp").add_argument("target", metavar="HOST:PORT")
    words = kinds.add_parser("zookeeper")
    words.add_argument("target", metavar="HOST:PORT")
    words.add_argument("word", nargs="?", default="srvr", choices=WORDS)
    page = kinds.add_parser("http")
    page.add_argument("target", metavar="URL")
    page.add_argument("text", nargs="?", default="", help="what the page must contain")
    bean = kinds.add_parser("jmx")
    bean.add_argument("target", metavar="HOST:PORT")
    bean.add_argument("bean")
    bean.add_argument("conditions", nargs="*", metavar="NAME=VALUE[,VALUE] | NAME>=NUMBER")
    door = kinds.add_parser("login")
    door.add_argument("target", metavar="HOST:PORT")
    door.add_argument("--ca", required=True, metavar="FILE", help="certificate of the CA of the server's")
    call = kinds.add_parser("thrift")
    call.add_argument("target", metavar="HOST:PORT")
    call.add_argument("method")
    return top


def ask(options: argparse.Namespace) -> None:
    """Raises ``Unready`` or ``OSError`` unless the server serves."""
    if options.kind == "http":
        page(options.target, options.text)
    elif options.kind == "jmx":
        jmx(options.target, options.bean, options.conditions)
    elif options.kind == "thrift":
        thrift(options.target, options.method)
    elif options.kind == "login":
        login(options.target, options.ca)
    elif options.kind == "zookeeper":
        zookeeper(options.target, options.word)
    else:
        tcp(options.target)


def main() -> None:
    options = parser().parse_args()
    began = reported = time.monotonic()
    if options.wait:
        print(f"waiting for {options.kind} {options.target}", flush=True)
    while True:
        try:
            return ask(options)
        except (Unready, OSError, ValueError, KeyError) as error:
            now = time.monotonic()
            if now - began >= options.wait:
                sys.exit(f"error: {options.kind} {options.target}: {error}")
            if now - reported >= REPORT_SECONDS:
                print(f"still waiting for {options.kind} {options.target}: {error}", flush=True)
                reported = now
            time.sleep(1)


if __name__ == "__main__":
    main()
