"""Forwards ports of this machine's loopback into the node's network namespace.

The sockets that listen are opened first; then the process enters the namespace, where all its later connections begin.
Uses setns(2).
"""

import asyncio
import ctypes
import os
import socket
from contextlib import suppress

import click

from contracts.command import run

CLONE_NEWNET = 0x40000000
CHUNK = 64 * 1024


def listen(port: int) -> socket.socket:
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("127.0.0.1", port))
    return server


def enter(namespace: str) -> None:
    """Moves this process into a network namespace."""
    file = os.open(namespace, os.O_RDONLY)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(file, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), f"setns {namespace}")
    os.close(file)


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    with suppress(OSError, RuntimeError):
        writer.write_eof()


async def serve(server: socket.socket, host: str, port: int) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection(host, port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pipe(reader, there_writer), pipe(there_reader, writer))
        there_writer.close()
        writer.close()

    async with await asyncio.start_server(handle, sock=server) as listening:
        await listening.serve_forever()


async def forward(namespace: str, rules: tuple[str, ...]) -> None:
    targets = []
    for rule in rules:
        port, _, target = rule.partition("=")
        host, _, there = target.partition(":")
        targets.append((listen(int(port)), host, int(there)))
    enter(namespace)
    await asyncio.gather(*(serve(*target) for target in targets))


@click.command()
@click.argument("namespace", type=click.Path())
@click.argument("rules", nargs=-1, metavar="PORT=HOST:PORT...")
def main(namespace: str, rules: tuple[str, ...]) -> None:
    """Forward ports of this machine's loopback into the network namespace of the file NAMESPACE."""
    asyncio.run(forward(namespace, rules))


if __name__ == "__main__":
    run(main)
