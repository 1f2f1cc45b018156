import random
import re

from rwkv_core.training.corpus.augment import vary_story

STORY = (
    "Once upon a time, there was a little boy named Tim. Tim had a red ball.\n"
    'One day, Tim met a girl named Lily. "Can I play with the red ball?" asked Lily. '
    'Tim said, "Yes, Lily!" Lily took Tim\'s red ball and they played.'
)


def test_same_seed_gives_the_same_text() -> None:
    assert vary_story(STORY, random.Random(3)) == vary_story(STORY, random.Random(3))


def test_names_change_everywhere_and_stay_two() -> None:
    for seed in range(200):
        text = vary_story(STORY, random.Random(seed))
        boy = re.search(r"boy named (\w+)", text)
        girl = re.search(r"girl named (\w+)", text)
        assert boy
        assert girl
        assert boy[1] != girl[1]
        assert len(re.findall(rf"\b{boy[1]}\b", text)) == STORY.count("Tim")
        assert len(re.findall(rf"\b{girl[1]}\b", text)) == STORY.count("Lily")


def test_passes_over_one_story_differ() -> None:
    assert len({vary_story(STORY, random.Random(seed)) for seed in range(100)}) > 60


def test_a_color_changes_everywhere_or_nowhere() -> None:
    seen = set()
    for seed in range(100):
        colors = re.findall(r"(\w+) ball", vary_story(STORY, random.Random(seed)))
        assert len(set(colors)) == 1
        seen.add(colors[0])
    assert len(seen) > 3


def test_a_color_that_belongs_to_its_thing_stays() -> None:
    text = "He saw the blue sky and a blue ball. The grass was green."
    assert all(vary_story(text, random.Random(seed)) == text for seed in range(50))


def test_a_story_without_known_words_is_unchanged() -> None:
    text = "The giant lived on a hill. He was kind."
    assert vary_story(text, random.Random(1)) == text


def test_articles_and_plurals_follow_the_noun() -> None:
    text = "She ate an apple. Then she gave two apples to a friend. Apples are good."
    texts = {vary_story(text, random.Random(seed)) for seed in range(50)}
    assert "She ate a peach. Then she gave two peaches to a friend. Peaches are good." in texts
    assert not any(re.search(r"\ban [mp]", varied) for varied in texts)


def test_an_animal_with_its_own_sound_stays() -> None:
    text = 'A dog came. "Woof!" said the dog.'
    assert all(vary_story(text, random.Random(seed)) == text for seed in range(50))


def test_a_nickname_beside_its_name_keeps_both() -> None:
    text = "Tim was sad. His mom said, Timmy, come home."
    assert all(vary_story(text, random.Random(seed)) == text for seed in range(50))
