"""What may enter the engine, and what is said to whoever asks for more."""

from collections.abc import Sequence

import numpy as np

from kernels.sentences import Sentence
from rwkv_core.errors import EngineBusyError, InputError, SessionBusyError, SettingsError
from rwkv_core.generate import GenerationSettings
from rwkv_core.limits import EngineLimits
from rwkv_core.tally import Tally


class Admission:
    """Counts places; call it under the engine's lock.

    Args:
        limits: what to give out.
        tally: knows how long texts hold a slot; refusals are counted there.
    """

    def __init__(self, limits: EngineLimits, tally: Tally) -> None:
        self._limits, self._tally = limits, tally

    def admit_row(self, session_id: str, others: Sequence[str], queued: int) -> None:
        """Let a generation into its line.

        Args:
            session_id: who asks.
            others: the sessions of all jobs.
            queued: generations that have no slot.

        Raises:
            EngineBusyError: the line is full, or the session has its share running.
        """
        self._require_share(session_id, others)
        if queued >= self._limits.waiting:
            raise self._busy(
                "all {slots} slots are taken and {queued} visitors wait, which is the limit; "
                "place {place} may be free {when}: try again then",
                slots=self._limits.slots,
                queued=queued,
                place=queued + 1,
                when=self._when(),
            )

    def admit_trace(self, session_id: str, others: Sequence[str], queued: int) -> None:
        """Let a text into the line of those to inspect; as `admit_row`."""
        self._require_share(session_id, others)
        if queued >= self._limits.waiting:
            raise self._busy(
                "{count} texts wait to be inspected, which is the limit; try again in a moment",
                count=queued,
            )

    def _require_share(self, session_id: str, others: Sequence[str]) -> None:
        if (count := others.count(session_id)) >= self._limits.session_jobs:
            raise self._busy(
                "you have {count} texts running, which is the limit; stop one, or wait until "
                "one has ended",
                SessionBusyError,
                count=count,
            )

    def _busy(
        self, form: str, kind: type[EngineBusyError] = EngineBusyError, **values: object
    ) -> EngineBusyError:
        self._tally.ended["busy"] += 1
        return kind(form, **values)

    def _when(self) -> str:
        # A place in the line is free as soon as the next text ends.
        wait_s = self._tally.wait_s(1, self._limits.slots)
        if not wait_s:
            return "in a moment"
        return Sentence("in about {seconds} s", seconds=max(1, round(wait_s)))


def check_text(text: str, limit: int) -> None:
    """Refuse a text that is empty, longer than `limit` bytes, or not text.

    Raises:
        InputError: it is.
    """
    if not text:
        raise InputError("the text is empty; type at least one character")
    nbytes = len(text) if len(text) > limit else len(text.encode("utf-8", "surrogatepass"))
    if nbytes > limit:
        raise InputError(
            "the text has {count} bytes or more, the limit is {limit}; cut it",
            count=nbytes,
            limit=limit,
        )
    if "\0" in text:
        raise InputError(
            "character {place} of the text is NUL, which no text holds; remove it",
            place=text.index(chr(0)) + 1,
        )


def checked_ids(ids: Sequence[int], limit: int, *, least: int = 1, vocab_size: int) -> list[int]:
    """Refuse too few or too many ids, and those outside the vocabulary.

    Raises:
        InputError: they are.
    """
    if not least <= len(ids) <= limit:
        advice = "shorten it" if ids else "type something"
        raise InputError(
            "the text has {count} tokens, but must have {least} to {limit}; {advice}",
            count=len(ids),
            least=least,
            limit=limit,
            advice=advice,
        )
    array = np.asarray(ids, dtype=np.int64)
    wrong = array[(array < 0) | (array >= vocab_size)]
    if wrong.size:
        raise InputError(
            "token id {token} is outside this model's vocabulary, 0 to {last}; use the "
            "tokenizer that belongs to it",
            token=wrong[0],
            last=vocab_size - 1,
        )
    checked: list[int] = array.tolist()
    return checked


def check_settings(
    settings: GenerationSettings, alternatives: int, limits: EngineLimits, *, vocab_size: int
) -> None:
    """Refuse settings that ask for more than this engine gives.

    Raises:
        SettingsError: they do.
    """
    if not 0 <= alternatives <= limits.max_alternatives:
        raise SettingsError(
            "{count} alternatives asked for; choose 0 to {limit}",
            count=alternatives,
            limit=limits.max_alternatives,
        )
    if settings.max_tokens > limits.max_answer_tokens:
        raise SettingsError(
            "{count} tokens asked for, the limit here is {limit}; write a long text in "
            "several goes",
            count=settings.max_tokens,
            limit=limits.max_answer_tokens,
        )
    banned = max(settings.sampling.banned, default=0)
    if banned >= vocab_size:
        raise SettingsError(
            "banned token {token} is outside the vocabulary, 0 to {last}; give ids of this "
            "model's vocabulary",
            token=banned,
            last=vocab_size - 1,
        )
