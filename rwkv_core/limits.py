"""What one engine gives out, to all visitors together and to each."""

from dataclasses import dataclass
from typing import Literal

# Who may fetch models and change the one that runs.
WhoMaySwitch = Literal["nobody", "this machine", "everyone"]


@dataclass(frozen=True)
class EngineLimits:
    """What one engine gives out, to all visitors together and to each.

    Attributes:
        slots: generations that read or write at the same time.
        waiting: generations that may wait for a slot, and traces and studies that may wait.
        session_jobs: of one session, running and waiting together.
        prefill_chunk: tokens read at once between two steps of those who write.
        store_bytes: kept states of all sessions.
        session_bytes: kept states of one session; half of it for those that no ids could rebuild.
        sessions: sessions whose states are kept.
        recording_bytes: kept recordings of the inspector, of all sessions.
        idle_ttl_s: seconds after its last use until a session's states are dropped.
        held_ttl_s: the same for memories that it holds and that no ids could rebuild.
        deadline_s: seconds a generation may hold its slot.
        unread_s: seconds until a job that nobody looks at ends.
        max_context_tokens: tokens of a prompt.
        max_answer_tokens: tokens to write.
        max_trace_tokens: tokens of a text to inspect.
        max_alternatives: likely tokens listed with each token.
        max_text_bytes: UTF-8 bytes of a text to encode.
    """

    slots: int = 8
    waiting: int = 24
    session_jobs: int = 64
    prefill_chunk: int = 128
    store_bytes: int = 512 * 2**20
    session_bytes: int = 256 * 2**20
    sessions: int = 1000
    recording_bytes: int = 256 * 2**20
    idle_ttl_s: float = 1200
    held_ttl_s: float = 6 * 3600
    deadline_s: float = 300
    unread_s: float = 3.0
    max_context_tokens: int = 1_000_000
    max_answer_tokens: int = 4096
    max_trace_tokens: int = 4096
    max_alternatives: int = 10
    max_text_bytes: int = 2_000_000
