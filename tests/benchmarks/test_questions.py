import random

import pytest

from benchmarks import questions
from benchmarks.questions import bin_of, holds_words, is_reply_of, kind_told, wanted_words
from rwkv_core.tokenizer import Tokenizer
from rwkv_core.training.corpus import recall, talk, talk_asked, talk_feelings
from rwkv_core.training.corpus.facts import world_fact
from rwkv_core.training.corpus.phrases import plain, speak
from rwkv_core.training.corpus.recall_events import HOLDER, SPOT
from rwkv_core.training.corpus.recall_kinds import NAME, SECRET, FactKind

SLOTS = {"me": "Pip", "you": ""}


@pytest.mark.parametrize(
    ("answer", "needle", "found"),
    [
        ("Your name is Ana.", "Ana", True),
        ("It is ana", "Ana", True),
        ("Your name is Anabel.", "Ana", False),
        ("It is 4512.", "451", False),
        ("It is c++!", "c++", True),
        ("It is in the red cup.", "in the red cup", True),
        ("", "Ana", False),
    ],
)
def test_an_answer_counts_when_the_needle_is_whole_words(
    answer: str, needle: str, found: bool
) -> None:
    assert holds_words(answer, needle) is found


@pytest.mark.parametrize(
    ("distance", "index"), [(0, 0), (19, 0), (20, 1), (100, 2), (999, 5), (1000, None)]
)
def test_a_distance_falls_in_one_bin(distance: int, index: int | None) -> None:
    assert bin_of(distance) == index


@pytest.mark.parametrize("kind", [NAME, SECRET, SPOT, HOLDER], ids=lambda kind: kind.name)
def test_the_kind_of_fact_is_known_from_how_it_was_told(kind: FactKind) -> None:
    rng = random.Random(1)
    for _ in range(300):
        fact = recall.draw_fact(rng, kind)
        assert kind_told(recall.tell(rng, fact, SLOTS).user, fact.spoken) == kind.name


def test_recall_questions_fill_every_bin_and_need_memory(tokenizer: Tokenizer) -> None:
    found = questions.recall_questions(random.Random(2), tokenizer, 4)
    for (low, high), group in zip(questions.BINS, found, strict=True):
        assert len(group) == 4
        for question in group:
            assert low <= question.distance_tokens < high
            assert question.is_right(f"It is {question.wanted}.")
            assert not question.is_right("I do not know.")
            asked = question.prompt.rindex("User: ")
            between = tokenizer.encode(question.prompt[:asked])[-question.distance_tokens :]
            assert not holds_words(tokenizer.decode(between), question.wanted)


def test_a_question_that_holds_its_answer_is_left_out(tokenizer: Tokenizer) -> None:
    case = recall.RecallCase("User: I am Ana.\n\nAssistant: Hi!\n\n", "Am I Ana?", "Yes", "Ana", 0)
    assert questions.recall_question(case, tokenizer) is None


def test_a_fact_that_is_said_again_on_the_way_is_left_out(tokenizer: Tokenizer) -> None:
    told = "User: I am Ana.\n\nAssistant: Hi!\n\nUser: Who is it?\n\nAssistant: Ana is.\n\n"
    case = recall.RecallCase(told, "Who am I?", "You are Ana.", "Ana", 5)
    assert questions.recall_question(case, tokenizer) is None


def test_distance_counts_from_the_last_mention(tokenizer: Tokenizer) -> None:
    told = "User: I am Ana.\n\nAssistant: Hi, Ana!\n\n"
    case = recall.RecallCase(told, "Who am I?", "You are Ana.", "Ana", 0)
    question = questions.recall_question(case, tokenizer)
    assert question is not None
    assert question.distance_tokens == len(tokenizer.encode("!\n\n"))


def test_new_wordings_are_not_among_the_trained() -> None:
    rng = random.Random(3)
    trained = {plain(world_fact(rng).user) for _ in range(20_000)}
    for question in questions.new_wordings_of_facts(rng, 20):
        asked = question.prompt.removeprefix("User: ").removesuffix("\n\nAssistant:")
        assert plain(asked) not in trained
        assert question.is_right(f"It is {question.wanted}.")


def test_every_kind_of_fact_is_asked_for_in_new_words() -> None:
    found = list(questions.new_wordings_of_recall(random.Random(4), 2))
    assert {question.group for question in found} == {kind.name for kind in recall.KINDS}
    for question in found:
        assert question.is_right(f"It is {question.wanted}!")
        assert not question.is_right("It is nothing.")


def test_an_intents_own_reply_is_right_and_anothers_is_not() -> None:
    rng = random.Random(5)
    asked = list(questions.new_wordings_of_talk(rng))
    for question in asked:
        intent = talk.find_intent(question.group)
        assert question.is_right(speak(rng, intent, SLOTS).assistant)
    of_name = next(question for question in asked if question.group == "your name")
    assert not of_name.is_right("I live inside a computer. Where do you live?")
    assert not of_name.is_right("")


def test_right_for_a_poem_is_the_one_about_what_was_asked_for() -> None:
    asked = list(questions.new_wordings_of_performances(random.Random(7)))

    assert {question.group for question in asked} == {"joke", "poem"}
    for question in asked:
        if question.group == "poem":
            (about,) = [x for x in talk_asked.POEMS if f" {x}." in question.prompt]
            assert question.is_right(talk_asked.POEMS[about])
        else:
            assert question.is_right(talk_feelings.JOKES[0])
        other = "What is brown and sticky?"
        assert not question.is_right(other)


def test_a_story_is_right_that_names_what_was_asked_for() -> None:
    asked = questions.story_wishes(random.Random(8), 20)

    assert len({question.wanted for question in asked}) == 20
    for question in asked:
        assert f" {question.wanted}." in question.prompt
        assert question.is_right(f"Once there was a {question.wanted}.")
        assert not question.is_right("Once there was a boy.")


def test_a_reply_unlike_all_is_not_right() -> None:
    replies = {"a": [frozenset({"one", "two", "three", "four"})], "b": [frozenset({"one", "two"})]}
    assert is_reply_of("One two, three!", "a", replies)
    assert not is_reply_of("One six seven eight nine", "a", replies)
    # Like a reply of a, but more like the one of b.
    assert not is_reply_of("One two.", "a", replies)


@pytest.mark.parametrize(
    ("question", "reply", "wanted"),
    [
        ("What is the opposite of big?", "The opposite of big is small.", {"small"}),
        ("Is a dog bigger than a fly?", "Yes, a dog is bigger than a fly.", {"yes"}),
        ("Is a fly bigger than a dog?", "No, it is tiny.", {"no"}),
        ("2 + 3 =", "2 plus 3 is 5.", {"5"}),
        ("What does a cow say?", "The cow goes moo, moo!", {"moo"}),
    ],
)
def test_what_makes_a_reply_right_is_what_the_question_does_not_give(
    question: str, reply: str, wanted: set[str]
) -> None:
    assert wanted_words(question, reply) == wanted


def test_world_facts_have_one_right_answer() -> None:
    for question in questions.world_facts(random.Random(6), 100):
        assert question.wanted
        assert question.is_right(f"I think: {question.wanted}!")
        assert "rhyme" not in question.prompt
