"""The proxy carries bytes, and cuts, tears, stalls and refuses as it is told."""

import asyncio

import pytest

from tests.chaos.proxy import HOST, Proxy

PATIENCE_S = 60.0


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
    writer.close()


class Line:
    """A client that talks through a proxy to a server that echoes."""

    async def __aenter__(self) -> "Line":
        self.server = await asyncio.start_server(_echo, HOST, 0)
        self.proxy = Proxy(self.server.sockets[0].getsockname()[1])
        self.front = await asyncio.start_server(self.proxy.connect, HOST, 0)
        await self.connect()
        return self

    async def connect(self) -> None:
        port = self.front.sockets[0].getsockname()[1]
        self.reader, self.writer = await asyncio.open_connection(HOST, port)

    async def __aexit__(self, *_: object) -> None:
        self.proxy.order("cut 1")
        self.writer.close()
        self.front.close()
        self.server.close()

    async def say(self, data: bytes) -> bytes:
        """What comes back: as many bytes, or fewer where the connection ends."""
        self.writer.write(data)
        try:
            return await asyncio.wait_for(self.reader.readexactly(len(data)), PATIENCE_S)
        except asyncio.IncompleteReadError as error:
            return error.partial
        except OSError:
            return b""


def run(scenario) -> None:
    async def with_line() -> None:
        async with Line() as line:
            assert await line.say(b"hello") == b"hello"
            await scenario(line)

    asyncio.run(with_line())


def test_a_cut_ends_connections_and_new_ones_work() -> None:
    async def scenario(line: Line) -> None:
        line.proxy.order("cut 1")
        assert await line.say(b"x" * 10) == b""
        await line.connect()
        assert await line.say(b"again") == b"again"

    run(scenario)


def test_a_tear_ends_in_the_middle_of_a_message() -> None:
    async def scenario(line: Line) -> None:
        line.proxy.order("tear")
        assert len(await line.say(b"x" * 1_000)) < 1_000
        await line.connect()
        assert await line.say(b"again") == b"again"

    run(scenario)


def test_a_stall_delays_and_loses_nothing() -> None:
    async def scenario(line: Line) -> None:
        line.proxy.order("stall 0.3")
        start = asyncio.get_running_loop().time()
        assert await line.say(b"late") == b"late"
        assert asyncio.get_running_loop().time() - start >= 0.25

    run(scenario)


def test_refused_connections_end_at_once() -> None:
    async def scenario(line: Line) -> None:
        line.proxy.order("refuse 600")
        await line.connect()
        assert await line.say(b"anyone?") == b""

    run(scenario)


def test_an_unknown_order_is_an_error() -> None:
    async def scenario(line: Line) -> None:
        with pytest.raises(ValueError, match="no such order"):
            line.proxy.order("explode")

    run(scenario)
