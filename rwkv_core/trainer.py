"""Where tutorials look for a trainer that neither this library nor the package `rwkv` has here."""


def __getattr__(name: str) -> object:
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # `from ... import` would replace the words of an AttributeError by its own.
    raise ImportError(
        f"rwkv_core.trainer has no {name}; train with `python -m rwkv_core.training`, which "
        "explains itself with --help, and see docs/training.md",
        name=__name__,
    )
