"""A server of Milvus in a process of its own, which tests reach over the network as they would a cluster."""

import atexit
import functools
import socket
import subprocess
import sys
import tempfile


def start_server() -> tuple[subprocess.Popen, str]:
    """A server that listens on this machine alone, and its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    where = ["--data-dir", tempfile.mkdtemp(), "--host", "127.0.0.1", "--port", str(port)]
    command = [sys.executable, "-u", "-m", "milvus_lite", "server", *where]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    atexit.register(process.kill)
    assert "listening" in process.stdout.readline(), "the server of Milvus does not start"
    return process, f"http://127.0.0.1:{port}"


@functools.cache
def server_address() -> str:
    """The address of a server that all tests share."""
    return start_server()[1]
