"""What the runtime says by itself: its errors and its reasons, in every language of the page."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from presets import chat_template_for, default_model_path
from presets.catalogue import catalogue
from presets.words import LANGUAGES, RUNTIME, translated, words
from rwkv_core import errors, strategy
from rwkv_core.errors import InputError, RwkvError, Sentence
from rwkv_core.proposals import propose
from rwkv_core.tokenizer import BpeTokenizer
from server import gate

ROOT = Path(__file__).parents[2]
# Whoever visits the page can make these say something; programs read English.
OF_THE_PAGE = (
    "rwkv_core/admission.py", "rwkv_core/engine.py", "rwkv_core/generate.py", "rwkv_core/rows.py",
    "rwkv_core/sampling.py", "rwkv_core/scheduling.py", "rwkv_core/sessions.py",
    "rwkv_core/state.py", "rwkv_core/state_files.py", "rwkv_core/strategy.py",
    "rwkv_core/models/__init__.py", "rwkv_core/inspection/*.py", "rwkv_core/switching.py",
    "rwkv_core/downloads.py", "rwkv_core/hub.py", "ui/**/*.py",
)  # fmt: skip
OF_PROGRAMS = ("endpoints.py", "endpoint_values.py", "kept_texts.py")
RATES = ("_FROM_ADDRESS", "_FROM_PAGE", "_TO_UPLOAD")
# Faults of whoever writes a program with the runtime.
UNSEEN = ("ShapeError", "NotOfferedError")


def test_every_error_that_a_visitor_can_meet_is_said_in_every_language() -> None:
    names = {name for name, value in vars(errors).items() if isinstance(value, type)}
    made = {*names - {"Sentence", *UNSEEN}, "_busy"}
    found = [
        form
        for pattern in OF_THE_PAGE
        for path in sorted(ROOT.glob(pattern))
        if path.name not in OF_PROGRAMS
        for form in forms(path, made)
    ]
    assert len(found) > 90
    assert sorted({form for form in found if form not in known_forms()}) == []


def test_every_reason_with_values_is_said_in_every_language() -> None:
    paths = [*ROOT.glob("kernels/**/*.py"), *ROOT.glob("rwkv_core/**/*.py")]
    found = [form for path in paths for form in forms(path, {"Sentence"})]
    assert len(found) > 25
    assert sorted({form for form in found if form not in known_forms()}) == []


def test_the_instructions_of_the_packed_products_are_said_in_every_language() -> None:
    source = (ROOT / "kernels/cpu/vec.h").read_text(encoding="utf-8")
    names = re.findall(r'^    "(.* .*)";$', source, re.MULTILINE)
    assert len(names) >= 3
    assert sorted(set(names) - known_forms()) == []


def test_every_sentence_about_a_recording_is_said_in_every_language() -> None:
    paths = [*ROOT.glob("ui/readings/*.py"), *ROOT.glob("ui/inspector_*.py")]
    found = [form for path in paths for form in forms(path, {"Sentence", "Words", "_why_not"})]
    # Forms that are put together are met where recordings are read: tests/ui/test_reading_words.py.
    whole = {form for form in found if not form.startswith(("f'", 'f"'))}
    assert len(whole) > 80
    assert sorted(whole - known_forms()) == []


def test_every_refusal_of_what_a_page_sends_is_said_in_every_language() -> None:
    doors = [ROOT / "server/gate.py", ROOT / "server/uploads.py"]
    found = [form for path in doors for form in forms(path, {"Sentence", "_refusal"})]
    found += [value for name, value in vars(gate).items() if name in RATES]
    assert len(found) >= 12
    assert sorted({form for form in found if form not in known_forms()}) == []


def test_every_line_of_models_is_described_in_every_language() -> None:
    for about in {model.about for model in catalogue()}:
        assert translated("en", about) == about
        assert all(is_foreign(translated(language, about)) for language in ("zh", "ja")), about


def known_forms() -> set[str]:
    return {text for key, text in words()["en"].items() if key.startswith(RUNTIME)}


def forms(path: Path, made: set[str]) -> Iterator[str]:
    """Forms of all errors and sentences that a file makes, and the words it puts into them.

    An f-string is given as it stands there: it keeps no values apart, so no file knows it.
    """
    for scope in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        texts = {
            node.targets[0].id: node.value
            for node in ast.walk(scope)
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        for call in ast.walk(scope):
            if isinstance(call, ast.Call) and call.args and called(call) in made:
                for said in (call.args[0], *(keyword.value for keyword in call.keywords)):
                    node = texts.get(said.id, said) if isinstance(said, ast.Name) else said
                    if said is call.args[0] or not isinstance(node, ast.JoinedStr):
                        yield from constants(node)


def called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def constants(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value:
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield ast.unparse(node)
    elif isinstance(node, ast.IfExp):
        yield from (*constants(node.body), *constants(node.orelse))


def test_an_error_is_said_with_its_values_and_the_errors_inside_it() -> None:
    inner = InputError("the text has {count} bytes or more, the limit is {limit}; cut it",
                       count=12, limit=10)  # fmt: skip
    error = InputError("message {number} cannot be read: {error}", number=3, error=inner)
    assert str(error) == (
        "message 3 cannot be read: the text has 12 bytes or more, the limit is 10; cut it"
    )
    assert translated("en", error) == str(error)
    said = translated("zh", error)
    assert "第 3 条消息" in said
    assert "文字有 12 字节或更多" in said


def test_what_no_file_knows_stays_english() -> None:
    for said in ("nobody wrote this; nor {this}", Sentence("nor {this}", this=1), RwkvError()):
        text = str(said)
        assert [translated(language, said) for language in LANGUAGES] == [text] * len(LANGUAGES)


def test_a_value_that_looks_like_a_form_is_never_filled() -> None:
    named = InputError("this is no {file}; {0}")
    assert str(named) == translated("zh", named) == "this is no {file}; {0}"


@pytest.mark.parametrize("language", ["zh", "ja"])
def test_what_was_chosen_has_its_reason_in_every_language(language: str) -> None:
    text = "cpu fp16 *1 -> cpu bf16 *1 -> cpu int8 *1 -> cpu int4 *1 -> cpu fp32"
    asked = Sentence("asked for by the strategy {strategy!r}", strategy=text)
    choices = strategy.explain(strategy.parse_strategy(text), 12, asked)
    reasons = [choice.reason for choice in choices.values()]
    reasons += [strategy.choose_strategy(bits).reason for bits in (8.5, 16)]
    reasons += [chat_template_for(name, "world")[1].reason for name in ("x", "rwkv7-g1d-0.1b")]
    reasons += [chat_template_for("x", "20B_tokenizer")[1].reason]
    model = catalogue()[-1].inventory
    for room in (10**8, 10**10, 10**13):
        for device in ("cpu", "cuda:0"):
            reasons.append(propose(model, {"cpu": room, device: room}).strategy.reason)
    for reason in reasons:
        said = translated(language, reason)
        assert said != reason
        assert is_foreign(said), said


def is_foreign(text: str) -> bool:
    """Whether most letters are none of English; commands and names of types stay."""
    return sum(letter > "\u3000" for letter in text) >= 5


def test_half_a_character_is_refused_in_the_visitors_language() -> None:
    tokenizer = BpeTokenizer(default_model_path().with_name("tokenizer.json"), 10**6)
    with pytest.raises(RwkvError) as caught:
        tokenizer.encode("a\ud800")
    assert "第 2 个字符是 U+D800" in translated("zh", caught.value)
