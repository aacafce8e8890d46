"""The isolated reader's own process: files come in on its input, what was read goes out on its output.

Started by `rag_lib.indexing.reading.isolated`; it has its own memory limit, and whatever happens in it, it can be
killed. A request is a line of JSON with the type and the size, and the bytes; a reply is a line of JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import warnings
from collections.abc import Callable

from rag_lib.indexing.reading.base import Reading, Unreadable, checked

MEMORY = 2 << 30  # bytes of address space; Linux keeps to it, macOS and Windows have no such limit


def limit_memory() -> None:
    """Makes this process fail when it wants more memory than MEMORY."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def reader_of(kind: str) -> Callable[[bytes], Reading]:
    """The reader of files whose name ends with `kind`."""
    if kind == ".pdf":
        from rag_lib.indexing.reading.pdf import read_pdf as reader
    else:
        from rag_lib.indexing.reading.html import read_html as reader
    return reader


def answer(kind: str, data: bytes) -> dict:
    """What a file holds, or why it cannot be read; whatever a parser raises is one of the reasons."""
    try:
        return checked(reader_of(kind)(data))._asdict()
    except Unreadable as error:
        return {"error": str(error)}
    except MemoryError:
        return {"error": "it takes more memory than one file may"}
    except Exception as error:
        return {"error": f"{kind[1:].upper()} that cannot be read ({type(error).__name__})"}


def main() -> None:
    """Answers requests until the input ends."""
    limit_memory()
    warnings.simplefilter("ignore")
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what a parser prints is no reply
    while line := requests.readline():
        request = json.loads(line)
        reply = answer(request["kind"], requests.read(request["size"]))
        replies.write(json.dumps(reply).encode() + b"\n")
        replies.flush()


if __name__ == "__main__":
    main()
