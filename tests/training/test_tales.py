import random

from rwkv_core.training.corpus import (
    fact_lists,
    follow_ups,
    talk,
    talk_asked,
    talk_beyond,
    talk_feelings,
)
from rwkv_core.training.corpus.phrases import plain, wordings
from rwkv_core.training.corpus.tales import (
    MAX_WORDS,
    subjects,
    wishes,
    write_tale,
    write_wished_tale,
)

DRAGON = (
    "Once upon a time, there was a dragon named Rex. He lived by the sea. One day, Rex lost "
    "his ball. A girl found the ball and gave it to the dragon. They played by the sea."
)


def test_a_story_is_about_what_its_beginning_names_and_names_again() -> None:
    assert subjects(DRAGON) == ["a dragon", "the sea"]
    assert subjects("Tom sat down. He was sad. " + "An owl came. " * 4) == []
    assert subjects("Tom went to the park. He saw a ball there. He was glad.") == []


def test_a_request_names_what_the_story_is_about() -> None:
    rng = random.Random(0)
    asked = set()
    for _ in range(300):
        tale = write_tale(rng, DRAGON)
        assert tale is not None
        assert f"\n\nAssistant: {DRAGON}" in tale
        request = tale.partition(f"\n\nAssistant: {DRAGON}")[0].rpartition("User: ")[2].lower()
        asked |= {word for word in ("dragon", "sea", "rex") if word in request}
        assert "ball" not in request
        assert "{" not in tale

    assert asked == {"dragon", "sea", "rex"}


def test_the_same_chance_writes_the_same_talk() -> None:
    assert write_tale(random.Random(3), DRAGON) == write_tale(random.Random(3), DRAGON)


def test_a_story_without_a_subject_is_asked_for_without_one() -> None:
    rng = random.Random(1)
    patterns = {plain(text) for ask in follow_ups.STORY_ASKS for text in wordings(ask)}
    for _ in range(50):
        tale = write_tale(rng, "There was a storm once. It went away.")
        assert tale is not None
        request = tale.partition("\n\nAssistant: There")[0].rpartition("User: ")[2]
        assert plain(request) in patterns


def test_a_story_too_long_for_an_answer_is_left_out() -> None:
    assert write_tale(random.Random(0), "word " * MAX_WORDS) is not None
    assert write_tale(random.Random(0), "word " * (MAX_WORDS + 1)) is None


def test_a_made_story_names_early_what_was_asked_for() -> None:
    rng = random.Random(6)
    tales = [tale for _ in range(150) if (tale := write_wished_tale(rng))]
    assert len(tales) > 100
    named = 0
    for tale in tales:
        request, _, story = tale.lower().partition("\n\nassistant: ")
        begin = " ".join(story.split()[:40])
        # "A girl named Nora", or two things, of which the first counts.
        asked = [word.strip(".,!?") for word in request.partition(" about ")[2].split()]
        assert any(word in begin for word in asked if len(word) > 2), request
        named += any(wish.lower() in request for wish in wishes().values())
    assert named > 100


def test_what_a_story_may_be_asked_about_is_named_with_its_article() -> None:
    assert wishes()["dragon"] == "a dragon"
    assert wishes()["owl"] == "an owl"
    assert wishes()["moon"] == "the moon"


def test_a_poem_is_about_what_was_asked_for() -> None:
    rng = random.Random(2)
    poems: list[str] = []
    while len(poems) < 100:
        exchange = talk.performance(rng, {"me": "Pip", "you": ""})
        about = [x for x in talk_asked.POEMS if f" about {x}" in exchange.user.lower()]
        if about:
            poems.append(exchange.assistant)
            assert exchange.assistant == talk_asked.POEMS[about[0]], exchange.user

    assert len(set(poems)) > 10


def test_no_pattern_can_produce_a_held_out_request_for_a_joke_or_a_poem() -> None:
    asks = (*talk_feelings.JOKE_ASKS, *talk_asked.ANY_POEM_ASKS, *talk_asked.POEM_ASKS)
    trained = {plain(text) for ask in asks for text in wordings(ask)}
    held_out = (*talk_feelings.HELD_OUT_JOKE_ASKS, *talk_asked.HELD_OUT_POEM_ASKS)

    assert trained.isdisjoint(map(plain, held_out))


def test_a_visitor_begins_with_what_there_is_an_answer_to() -> None:
    rng = random.Random(4)
    drawn = {talk.first_topic(rng) for _ in range(2000)}

    assert {"what can you do", "your name", "too hard"} <= drawn
    for name in drawn:
        exchange = talk.small_talk(rng, talk.find_intent(name), {"me": "Pip", "you": ""})
        assert exchange.user
        assert exchange.assistant


def test_a_persona_is_not_asked_what_only_pip_answers() -> None:
    for_personas, _ = talk.topics(for_pip=False)

    assert not {*talk_asked.ASKED_FIRST, *talk_beyond.BEYOND} & set(for_personas)


def test_what_pip_knows_is_not_called_unknown() -> None:
    known = {plain(text) for ask, _ in fact_lists.QUESTIONS for text in wordings(ask)}
    capitals = {name.lower() for pair in fact_lists.CAPITALS.items() for name in pair}
    for intent in talk_beyond.BEYOND:
        asked = {
            plain(text.format(x=thing))
            for pattern in intent.asks
            for text in wordings(pattern)
            for thing in intent.things
        }
        assert len(asked) > 100
        assert known.isdisjoint(asked)
        assert capitals.isdisjoint(thing.lower() for thing in intent.things)
        assert not any("{" in reply for reply in intent.replies)
