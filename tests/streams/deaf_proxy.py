"""A TCP proxy in front of a broker whose answers can be held back, and lost."""

import socket
from contextlib import suppress
from threading import Event, Thread


class DeafProxy:
    """Carries bytes between clients and a broker on this machine.

    Attributes:
        port: where clients connect.
    """

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._answering, self._refusing = Event(), False
        self._answering.set()
        self._open: list[socket.socket] = []
        Thread(target=self._accept, daemon=True).start()

    def hold_answers(self) -> None:
        """Let requests through, and no answers, until `lose_answers`."""
        self._answering.clear()

    def lose_answers(self) -> None:
        """Break all connections, with the answers that were held, and let nobody in."""
        self._refusing = True
        while self._open:
            _shut(self._open.pop())
        self._answering.set()

    def let_in(self) -> None:
        """Take connections again."""
        self._refusing = False

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()
        self.lose_answers()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self._refusing:
                    client.close()
                    continue
                try:
                    broker = socket.create_connection(("127.0.0.1", self._target_port))
                except OSError:
                    client.close()
                    continue
                self._open += [client, broker]
                Thread(target=self._carry, args=(client, broker, None), daemon=True).start()
                answering = (broker, client, self._answering)
                Thread(target=self._carry, args=answering, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, gate: Event | None) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if gate is not None:
                    gate.wait()
                target.sendall(data)
        _shut(source)
        _shut(target)


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
