import random
import re

import pytest

from rwkv_core.training.corpus import talk
from rwkv_core.training.corpus.conversation import (
    Conversation,
    ordinary_talk,
    render,
    write_conversation,
)
from rwkv_core.training.corpus.facts import world_fact
from rwkv_core.training.corpus.phrases import Exchange, Intent, fill, plain, wordings
from rwkv_core.training.corpus.recall import KINDS
from rwkv_core.training.corpus.recall_kinds import FactKind
from rwkv_core.training.corpus.stories import Story, write_story


def conversations(seed: int, count: int) -> list[Conversation]:
    rng = random.Random(seed)
    return [write_conversation(rng, write_story) for _ in range(count)]


def test_a_conversation_renders_in_the_chat_format() -> None:
    exchanges = [Exchange("Hi", "Hello!\n\nI am Rosa."), Exchange("Bye", "See you.")]

    assert render("You are Rosa.", exchanges) == (
        "System: You are Rosa.\n\nUser: Hi\n\nAssistant: Hello! I am Rosa.\n\n"
        "User: Bye\n\nAssistant: See you."
    )
    assert render("", exchanges[1:]) == "User: Bye\n\nAssistant: See you."


def test_the_same_seed_writes_the_same_conversations() -> None:
    assert conversations(5, 20) == conversations(5, 20)
    assert conversations(5, 20) != conversations(6, 20)


def test_nearly_all_conversations_differ() -> None:
    texts = [render(*conversation) for conversation in conversations(1, 1500)]

    assert len(set(texts)) > 0.99 * len(texts)


def test_utterances_are_plain_text_without_open_slots_or_roles() -> None:
    for persona, exchanges in conversations(2, 1000):
        assert 1 <= len(exchanges) <= 80
        for text in (
            persona,
            *(part for turn in exchanges for part in (turn.user, turn.assistant)),
        ):
            assert text.isascii()
            assert not any(mark in text for mark in "{}|()" if mark != "(" or "(x" not in text), (
                text
            )
            assert "User:" not in text
            assert "Assistant:" not in text
            assert ">>" not in text
        assert all(turn.user and turn.assistant for turn in exchanges)


@pytest.mark.parametrize("named", [*talk.INTENTS, *KINDS], ids=lambda named: named.name)
def test_no_pattern_can_produce_a_held_out_sentence(named: Intent | FactKind) -> None:
    patterns = named.asks if isinstance(named, Intent) else named.questions
    trained = {plain(text) for pattern in patterns for text in wordings(pattern)}

    assert named.held_out
    assert trained.isdisjoint(plain(text) for text in named.held_out)


def test_no_intent_trains_on_the_held_out_sentence_of_another() -> None:
    trained = {
        plain(text)
        for intent in talk.INTENTS
        for pattern in intent.asks
        for text in wordings(pattern)
    }

    assert trained.isdisjoint(plain(text) for intent in talk.INTENTS for text in intent.held_out)


def test_every_topic_an_answer_leads_to_exists() -> None:
    kinds = {kind.name for kind in KINDS}
    intents = {intent.name for intent in talk.INTENTS}
    replies = [reply for intent in talk.INTENTS for reply in intent.replies]
    replies += [reply for kind in KINDS for reply in (*kind.replies, *kind.unknown)]

    for reply in replies:
        topic = reply.partition(" >> ")[2]
        if topic.startswith("tell:"):
            assert topic.removeprefix("tell:").split()[0] in kinds
        else:
            assert topic in {*intents, "", "yes story", "joke", "pet does"}


def test_one_conversation_in_ten_has_a_persona_that_answers_with_its_own_name() -> None:
    written = conversations(3, 2000)
    with_line = [conversation for conversation in written if conversation.persona]

    assert 0.09 < len(with_line) / len(written) < 0.18
    for persona, exchanges in with_line:
        for turn in exchanges:
            words = turn.assistant.rstrip(".").replace(",", "").split()
            if words[:3] == ["My", "name", "is"]:
                names = {"Pip", *re.findall(r"\w+", persona)}
                assert words[3].rstrip(".") in names, persona
            if (
                "Pip" not in persona
                and "story-teller" not in persona
                and "assistant" not in persona
            ):
                assert "I am Pip" not in turn.assistant, persona


def test_answers_about_unknown_topics_stay_rare() -> None:
    turns = [turn for _, exchanges in conversations(4, 2000) for turn in exchanges]
    unknown = [turn for turn in turns if turn.assistant in talk.find_intent("unknown").replies]

    assert 0 < len(unknown) / len(turns) < 0.03


def test_stories_are_a_small_part_of_what_the_assistant_says() -> None:
    told: list[str] = []

    def writer(rng: random.Random, wanted: tuple[str, ...]) -> Story:
        told.append((story := write_story(rng, wanted)).text)
        return story

    rng = random.Random(8)
    said = [
        turn.assistant for _ in range(1500) for turn in write_conversation(rng, writer).exchanges
    ]

    share = sum(len(text.split()) for text in told) / sum(len(text.split()) for text in said)
    assert 0.08 < share < 0.22


def test_bad_news_is_never_called_great() -> None:
    rng = random.Random(9)
    bad = ("mean people", "hurt", "loss", "failed", "night fears", "not fine", "trouble")
    for intent in map(talk.find_intent, bad):
        for _ in range(40):
            said = talk.small_talk(rng, intent, {"me": "Pip", "you": ""}).assistant
            assert not re.search(r"great|wonderful|hooray|yay|lovely", said, re.I), said


def test_sums_are_right() -> None:
    rng = random.Random(0)
    answers = [world_fact(rng) for _ in range(2000)]
    sums = [
        (found, turn)
        for turn in answers
        if (found := re.fullmatch(r"(?:What is )?(\d+) \+ (\d+)\W*", turn.user))
    ]

    assert sums
    for found, turn in sums:
        total = int(found[1]) + int(found[2])
        assert turn.assistant.rstrip(".").split()[-1] == str(total)


def test_ordinary_talk_is_a_rendered_piece() -> None:
    rng = random.Random(0)

    for _ in range(50):
        piece = ordinary_talk(rng, write_story)
        assert piece.startswith("User: ")
        assert "\n\nAssistant: " in piece


def test_a_word_told_in_small_letters_keeps_them() -> None:
    rng = random.Random(0)

    assert fill(rng, "{x} is it.", {"x": "moon"}) == "moon is it."
    assert fill(rng, "(the|the) moon.", {}) == "The moon."
