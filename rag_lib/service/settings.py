"""What a service is told when it starts."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

TOKEN_VARIABLE = "RAG_TOKEN"
SHORTEST_TOKEN = 16  # characters
LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")  # as browsers write them in a request


@dataclass(frozen=True)
class Settings:
    """How a service runs.

    Attributes:
        token: what every request has to show; empty for none, which only this machine may use.
        waiting: the most requests that wait for the models; further ones are refused.
        seconds: how long a request may wait and be worked on, together.
        most_bytes: the largest body of a request.
        body_seconds: how long a body may take to arrive.
        kept_answers, kept_conversations: the most that are remembered, the oldest go first.
        feedback: the file that visitors' judgements are added to, as JSON lines.
        log_texts: the log also holds what visitors ask; off by default.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str = ""
    waiting: int = 32
    seconds: float = 30.0
    most_bytes: int = 1_000_000
    body_seconds: float = 10.0
    kept_answers: int = 1000
    kept_conversations: int = 200
    feedback: Path = Path("feedback.jsonl")
    log_texts: bool = False

    def __post_init__(self) -> None:
        if not self.token and not is_loopback(self.host):
            raise ValueError(
                f"{self.host} can be reached from other machines: set {TOKEN_VARIABLE} to a token of at least "
                f"{SHORTEST_TOKEN} characters, or leave --host out"
            )
        if self.token and (
            len(self.token) < SHORTEST_TOKEN or not self.token.isascii() or not self.token.isprintable()
        ):
            raise ValueError(
                f"{TOKEN_VARIABLE} must have at least {SHORTEST_TOKEN} characters, all of them printable ASCII"
            )


def is_loopback(host: str) -> bool:
    """Whether a host's name or address can be reached from this machine only."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
