"""Writes a record as bytes on the wire: what Kafka takes and Kafka's own clients would not send."""

import socket
import struct

Header = tuple[bytes, bytes | None]


def produce(
    bootstrap: str, topic: str, value: bytes | None, headers: list[Header], timestamp: int = 1
) -> None:
    """Append one record to partition 0, by the protocol's Produce request, version 3.

    Raises:
        RuntimeError: the broker refused it; with its error code.
    """
    batch = _batch(value, headers, timestamp)
    request = struct.pack(">hhih", 0, 3, 1, -1)  # Produce, version, correlation, no client id
    request += struct.pack(">hhii", -1, 1, 30_000, 1)  # no transaction, leader's answer, a topic
    request += struct.pack(">h", len(topic)) + topic.encode()
    request += struct.pack(">iii", 1, 0, len(batch)) + batch
    host, port = bootstrap.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        answer = connection.makefile("rb")
        (size,) = struct.unpack(">i", answer.read(4))
        body = answer.read(size)
    # correlation id, number of topics, the topic, number of partitions, the partition, its error
    (error,) = struct.unpack_from(">h", body, 4 + 4 + 2 + len(topic) + 4 + 4)
    if error:
        raise RuntimeError(f"the broker refused the record: error code {error}")


def _batch(value: bytes | None, headers: list[Header], timestamp: int) -> bytes:
    record = b"\0" + _varint(0) + _varint(0) + _bytes(b"key") + _bytes(value)
    record += _varint(len(headers)) + b"".join(_bytes(k) + _bytes(v) for k, v in headers)
    # attributes, last offset, first and last time, producer id, epoch, sequence, count
    body = struct.pack(">hiqqqhii", 0, 0, timestamp, timestamp, -1, -1, -1, 1)
    body += _varint(len(record)) + record
    head = struct.pack(">iBI", -1, 2, _crc32c(body))  # leader epoch, format, checksum
    return struct.pack(">qi", 0, len(head) + len(body)) + head + body


def _bytes(value: bytes | None) -> bytes:
    return _varint(-1) if value is None else _varint(len(value)) + value


def _varint(value: int) -> bytes:
    zigzag = (value << 1) ^ (value >> 63)
    out = bytearray()
    while zigzag > 0x7F:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    return bytes([*out, zigzag])


def _crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
