from rwkv_core.branches import Tree
from rwkv_core.sessions import Conversation, Turn


def said(user: str, answer: str = "yes") -> Turn:
    return Turn(user, tuple(user.encode()), answer, tuple(answer.encode()))


def grown() -> Tree:
    """Two exchanges, then another answer to the second, then another second message."""
    tree = Tree().added(None, said("a"), (0,))
    tree = tree.added(0, said("b")).added(0, said("b", "no"))
    return tree.added(0, said("c"))


def test_the_shown_text_runs_from_the_first_exchange_to_the_tip() -> None:
    tree = grown()
    assert tree.path == (0, 3)
    assert tree.conversation.opening_ids == (0,)
    assert [turn.user for turn in tree.conversation.turns] == ["a", "c"]
    assert tree.conversation.length == len(tree.conversation.ids)


def test_answers_and_messages_count_their_own_versions() -> None:
    tree = grown()
    assert tree.answer_versions(2).nodes == (1, 2)
    assert tree.answer_versions(2).place == 2
    assert tree.answer_versions(3).nodes == (3,)
    assert tree.message_versions(3).nodes == (2, 3)
    assert tree.message_versions(1).nodes == (1, 3)
    assert tree.message_versions(1).step(1) == 3
    assert tree.message_versions(1).step(-1) is None


def test_switching_back_shows_the_text_that_was_left() -> None:
    tree = grown().added(3, said("d"))
    away = tree.switched(1)
    assert away.path == (0, 1)
    assert away.switched(3).path == (0, 3, 4)


def test_what_was_taken_back_does_not_come_back_by_switching() -> None:
    tree = grown().added(3, said("d")).shown(3)
    assert tree.switched(1).switched(3).path == (0, 3)


def test_a_message_without_an_answer_is_dropped_and_an_answered_one_stays() -> None:
    tree = grown()
    waiting = tree.added(3, Turn("e", (1,), "", ()))
    assert waiting.path == (0, 3, 4)
    assert waiting.settled() == tree
    assert tree.settled() == tree
    assert Tree().added(None, Turn("e", (1,), "", ())).settled() == Tree()


def test_a_fork_holds_the_shown_text_without_its_branches() -> None:
    fork = grown().only(1)
    assert [turn.user for turn in fork.conversation.turns] == ["a", "b"]
    assert fork.conversation == grown().conversation_to(1)
    assert len(fork.nodes) == 2


def test_a_chat_that_goes_on_from_a_memory_goes_back_to_it() -> None:
    start = Conversation((1, 2), root="7-abc")
    tree = Tree(start=start)
    assert tree.conversation == start
    grown = tree.added(None, said("a"), start.opening_ids, start.root).added(0, said("b"))
    for back in (grown.shown(None), grown.switched(0).shown(None), grown.only(1).shown(None)):
        assert back.conversation == start
    waiting = tree.added(None, Turn("e", (1,), "", ()), start.opening_ids, start.root)
    assert waiting.settled() == tree
