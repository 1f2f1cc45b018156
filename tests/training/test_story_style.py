import random

from rwkv_core.training.corpus.story_style import join_sentences, polish, turn_speakers


def test_polish_makes_paragraphs_and_articles() -> None:
    assert polish("He saw a owl. | | It was a unicorn.  A honest one. |") == (
        "He saw an owl.\n\nIt was a unicorn. An honest one."
    )


def test_sentences_of_one_hero_are_joined() -> None:
    told = "{H} ran home. {He} fell down."
    texts = {join_sentences(random.Random(seed), told) for seed in range(20)}
    assert texts == {told, "{H} ran home and fell down."}


def test_a_name_stays_where_another_person_was_named() -> None:
    told = "{H} saw {F}. {H} fell down."
    assert all(join_sentences(random.Random(seed), told) == told for seed in range(20))


def test_words_inside_a_sentence_are_not_taken_for_its_start() -> None:
    told = "The man gave {H} the {t}. {He} ran home."
    assert all(join_sentences(random.Random(seed), told) == told for seed in range(20))


def test_speakers_turn_only_after_quotes() -> None:
    slots = {"H": "Tim", "F": "Sue"}
    text = '"Hi," said Tim. Then Sue said, "Yes."'
    texts = {turn_speakers(random.Random(seed), text, slots) for seed in range(20)}
    assert texts == {text, text.replace("said Tim", "Tim said")}
