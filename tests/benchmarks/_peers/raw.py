"""The limit: a socket, no HTTP library, and nothing decoded. It shows what the server itself costs."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from tests.benchmarks._calls import FIRST, OLDEST, SIZE
from tests.benchmarks._peers import Last


class Client:
    """A blocking socket."""

    async def open(self, url: str) -> None:
        """Connect."""
        address = urlsplit(url)
        self.path = address.path
        self.pages = int(self.path.split("/")[1]) // SIZE
        self.socket = socket.create_connection((address.hostname, address.port))
        self.space = bytearray(256 * 1024)

    async def list(self) -> Last:
        """Read the bytes of all pages."""
        for number in range(1, self.pages + 1):
            asked = f"GET {self.path}/calls?page={number}&page_size={SIZE} HTTP/1.1\r\nHost: localhost\r\n\r\n"
            self.socket.sendall(asked.encode())
            size = self.socket.recv_into(self.space)
            while (ends := self.space.find(b"\r\n\r\n", 0, size)) < 0:
                size += self.socket.recv_into(memoryview(self.space)[size:])
            head = bytes(self.space[:ends])
            due = ends + 4 + int(head.rsplit(b"Content-Length: ", 1)[1])
            while size < due:
                size += self.socket.recv_into(memoryview(self.space)[size:])
        return self.pages * SIZE, OLDEST, FIRST

    async def close(self) -> None:
        """Close it."""
        self.socket.close()
