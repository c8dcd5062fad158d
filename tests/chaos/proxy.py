"""A TCP proxy in front of the broker that cuts, tears, stalls, slows and refuses connections.

It runs as a process of its own, ``python -m tests.chaos.proxy PORT TARGET_PORT``, takes orders on
stdin, one a line, such as ``cut 0.5`` or ``stall 3``, and ends with its stdin.
"""

import asyncio
import contextlib
import random
import sys

HOST = "127.0.0.1"
_CHUNK = 65_536
_SLOW_CHUNK = 4_096


class Proxy:
    """Carries bytes between clients and the broker, as long as it is not told otherwise."""

    def __init__(self, target_port: int, seed: int = 0) -> None:
        self._target_port = target_port
        self._random = random.Random(seed)
        self._open: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._tear = False
        self._refuse = False
        self._delay = 0.0

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until either side ends."""
        try:
            if self._refuse:
                raise ConnectionRefusedError
            up_reader, up_writer = await asyncio.open_connection(HOST, self._target_port)
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, up_writer)
        self._open.add(pair)
        pumps = [
            asyncio.create_task(self._pump(reader, up_writer)),
            asyncio.create_task(self._pump(up_reader, writer)),
        ]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        self._open.discard(pair)
        for each in pair:
            each.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_SLOW_CHUNK if self._delay else _CHUNK):
                await self._flowing.wait()
                if self._delay:
                    await asyncio.sleep(self._delay)
                if self._tear:
                    self._tear = False
                    writer.write(data[: len(data) // 2])
                    await writer.drain()
                    return
                writer.write(data)
                await writer.drain()

    def order(self, line: str) -> None:
        """Carry out one order.

        ``cut SHARE`` resets that share of the connections, ``tear`` ends one in the middle of a
        message; ``stall``, ``refuse`` and ``slow`` last for so many SECONDS.
        """
        word, _, argument = line.strip().partition(" ")
        loop = asyncio.get_running_loop()
        amount = float(argument or 0)
        if word == "cut":
            for pair in sorted(self._open, key=id):
                if self._random.random() < amount:
                    for each in pair:
                        each.transport.abort()
        elif word == "tear":
            self._tear = True
        elif word == "stall":
            self._flowing.clear()
            loop.call_later(amount, self._flowing.set)
        elif word == "refuse":
            self._refuse = True
            self.order("cut 1")
            loop.call_later(amount, setattr, self, "_refuse", False)
        elif word == "slow":
            self._delay = 0.005
            loop.call_later(amount, setattr, self, "_delay", 0.0)
        else:
            raise ValueError(f"no such order: {line!r}")


async def _serve(port: int, target_port: int) -> None:
    proxy = Proxy(target_port)
    server = await asyncio.start_server(proxy.connect, HOST, port)
    stdin = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    print("ready", flush=True)
    while line := await stdin.readline():
        proxy.order(line.decode())
    server.close()
    proxy.order("cut 1")


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
