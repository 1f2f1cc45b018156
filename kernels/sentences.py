"""A sentence that remembers what it was made of, so that a page can say it in another language.

why = Sentence("heads of {size} have no packed code", size=20)
why == "heads of 20 have no packed code"; why.form; why.values
"""

from collections.abc import Mapping


class Sentence(str):
    """English text, made from a form and values; plain text to everyone who does not ask for them.

    Attributes:
        form: the text with `{named}` places, as `str.format` takes it.
        values: what stands in them; a value may be a sentence too.
    """

    form: str
    values: Mapping[str, object]

    def __new__(cls, form: str, /, **values: object) -> "Sentence":
        """Fill the places; a form without values is taken as it is, braces included."""
        made = super().__new__(cls, form.format(**values) if values else form)
        made.form, made.values = form, values
        return made
