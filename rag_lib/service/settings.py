"""What a service is told when it starts."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

TOKEN_VARIABLE = "RAG_TOKEN"
SHORTEST_TOKEN = 16  # characters
LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")  # as browsers write them in a request


@dataclass(frozen=True)
class Settings:
    """How a service runs.

    Attributes:
        token: what the owner shows, who may see and change everything; empty for none, which only this machine may use,
            and then whoever asks is the owner.
        readers: the groups of everybody else, by the token that they show; see `readers`.
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
    token: str = field(default="", repr=False)
    readers: Mapping[str, frozenset[str]] = field(default_factory=dict, repr=False)
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
        if self.readers and (not self.token or self.token in self.readers):
            raise ValueError(f"where readers have tokens, the owner needs another one: set {TOKEN_VARIABLE}")
        for name, token in ((TOKEN_VARIABLE, self.token), *(("a reader's token", token) for token in self.readers)):
            if (token or name != TOKEN_VARIABLE) and not is_good(token):
                raise ValueError(f"{name} must have at least {SHORTEST_TOKEN} characters, all of them printable ASCII")


def is_good(token: str) -> bool:
    """Whether a token can be sent in a header and not easily be guessed."""
    return len(token) >= SHORTEST_TOKEN and token.isascii() and token.isprintable() and token == token.strip()


def is_loopback(host: str) -> bool:
    """Whether a host's name or address can be reached from this machine only."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
