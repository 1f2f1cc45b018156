"""Errors a user can cause. Each message names the value, the limit and the next step.

RwkvError
├── ShapeError            tensors whose shapes disagree
├── CheckpointError       a weights file that cannot be read
│   └── UnsupportedModelError   a readable file of a model that is not supported
├── StateError            a saved state that is broken or belongs to another model
├── HeldMemoryError       a memory that is not held (any more), or no room to hold one
├── DownloadError         a file that could not be fetched
├── TokenizerError        an unreadable vocabulary, or ids outside it
├── StrategyError         strategy text that says nothing runnable
├── NonFiniteError        numbers that grew to NaN or infinity while the model ran
├── SettingsError         a sampling or generation setting outside its range
├── NotOfferedError       an attribute of the package rwkv that has no counterpart here
├── InputError            text that is empty, too long or not text
├── EngineBusyError       all slots and the waiting line are full
├── EngineClosedError     the engine has been shut down
├── SwitchError           another model could not take the running one's place
└── NotAllowedError       something only the owner may do
"""

# Also for whoever puts sentences into other languages.
from kernels.sentences import Sentence as Sentence


class RwkvError(Exception):
    """Base of every error that a user can cause; its text is one clear sentence.

    Args:
        form: the sentence, with `{named}` places where there are values.
        values: what stands in the places; pages put the form into other languages.
    """

    def __init__(self, form: str = "", /, **values: object) -> None:
        super().__init__(Sentence(form, **values) if values else form)


class ShapeError(RwkvError, ValueError):
    """Tensor shapes disagree; the message names the argument and both shapes."""


class CheckpointError(RwkvError):
    """A weights file cannot be read."""


class UnsupportedModelError(CheckpointError):
    """A readable file holds a model that this runtime does not support."""


class StateError(RwkvError):
    """A saved state is broken or belongs to another model."""


class HeldMemoryError(RwkvError):
    """A memory is not held for this visitor, or there is no room to hold it."""


class DownloadError(RwkvError):
    """A file could not be fetched from the network."""


class TokenizerError(RwkvError):
    """A vocabulary cannot be read, or a token id is outside it."""


class StrategyError(RwkvError):
    """Strategy text does not name a device and dtype that can run here."""


class NonFiniteError(RwkvError, ArithmeticError):
    """The model's numbers left the range of their type; the message names the layer."""


class SettingsError(RwkvError, ValueError):
    """A sampling or generation setting is outside its range."""


class NotOfferedError(RwkvError, AttributeError):
    """An attribute of the PyPI package `rwkv` has no counterpart; says what to write instead."""


class InputError(RwkvError, ValueError):
    """Text is empty, longer than the limit, or not text at all."""


class EngineBusyError(RwkvError):
    """All slots and the whole waiting line are taken."""


class SessionBusyError(EngineBusyError):
    """One visitor has as many texts running as one may have; others' are let in."""


class EngineClosedError(RwkvError):
    """The engine has been shut down, or its thread died; the message says which."""


class SwitchError(RwkvError):
    """Another model could not take the running one's place; the message says which runs now."""


class NotAllowedError(RwkvError):
    """Something that only the owner of this server may do."""
