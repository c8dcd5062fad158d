"""Writes records as bytes on the wire: what Kafka takes and Kafka's own clients would not send."""

import socket
import struct
from functools import cache

import pyarrow as pa

Header = tuple[bytes, bytes | None]

_ZSTD = 4
_BLANKS = 45_000_000
UNREADABLE_RECORDS = 5
PLACE_HEADER = "place-in-batch"


def produce(
    bootstrap: str, topic: str, value: bytes | None, headers: list[Header], timestamp: int = 1
) -> None:
    """Append one record to partition 0, by the protocol's Produce request, version 7.

    Raises:
        RuntimeError: the broker refused it; with its error code.
    """
    record = _record(0, value, headers)
    _send(bootstrap, topic, 0, _batch(record, count=1, timestamp=timestamp))


def produce_unreadable(bootstrap: str, topic: str, partition: int = 0) -> None:
    """Append a batch of 5 records, which are 7 KB on the wire, and 225 MB when they are unpacked.

    Who reads them nevertheless finds in `PLACE_HEADER` which of the batch's records each is.

    Raises:
        RuntimeError: the broker refused it; with its error code.
    """
    _send(bootstrap, topic, partition, _unreadable())


@cache
def _unreadable() -> bytes:
    records = b"".join(
        _record(i, b" " * _BLANKS, [(PLACE_HEADER.encode(), b"%d" % i)])
        for i in range(UNREADABLE_RECORDS)
    )
    packed = pa.Codec("zstd").compress(records, asbytes=True)
    return _batch(packed, count=UNREADABLE_RECORDS, timestamp=1, codec=_ZSTD)


def _send(bootstrap: str, topic: str, partition: int, batch: bytes) -> None:
    request = struct.pack(">hhih", 0, 7, 1, -1)  # Produce, version, correlation, no client id
    request += struct.pack(">hhii", -1, 1, 30_000, 1)  # no transaction, leader's answer, a topic
    request += struct.pack(">h", len(topic)) + topic.encode()
    request += struct.pack(">iii", 1, partition, len(batch)) + batch
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


def _record(delta: int, value: bytes | None, headers: list[Header]) -> bytes:
    record = b"\0" + _varint(0) + _varint(delta) + _bytes(b"key") + _bytes(value)
    record += _varint(len(headers)) + b"".join(_bytes(k) + _bytes(v) for k, v in headers)
    return _varint(len(record)) + record


def _batch(records: bytes, *, count: int, timestamp: int, codec: int = 0) -> bytes:
    # attributes, last offset, first and last time, producer id, epoch, sequence, count
    body = struct.pack(">hiqqqhii", codec, count - 1, timestamp, timestamp, -1, -1, -1, count)
    body += records
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
