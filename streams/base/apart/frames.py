"""How a process apart is asked and answers: each time a length, and so many bytes.

Only the standard library, since a process apart imports it.
"""

import os
import struct
from collections.abc import Callable

HEADER = struct.Struct("<I")


def framed(content: bytes) -> bytes:
    """Some bytes behind their length."""
    return HEADER.pack(len(content)) + content


def answer_questions(answer: Callable[[bytes], bytes]) -> None:
    """Answer what comes on standard input on standard output, until there is no more.

    What is printed goes to standard error from here on.
    """
    questions, answers = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    with open(questions, "rb") as stream:
        while len(header := stream.read(HEADER.size)) == HEADER.size:
            (size,) = HEADER.unpack(header)
            said = memoryview(framed(answer(stream.read(size))))
            while said:
                said = said[os.write(answers, said) :]
