from pathlib import Path

import pytest

import presets
from presets.catalogue import catalogue
from rwkv_core.errors import CheckpointError, SettingsError
from rwkv_core.hub import Found
from tests.checkpoints import random_weights, write_safetensors
from ui.offers import SHIPPED, Offers, weights_in


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return write_safetensors(tmp_path / "mine.safetensors", random_weights(n_layer=2))


def test_the_shipped_model_the_owners_files_and_the_catalogue_are_offered(
    mine: Path, tmp_path: Path
) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "b.pth").write_bytes(b"x")
    (tmp_path / "more" / "notes.txt").write_bytes(b"x")
    offers = Offers([mine], tmp_path / "more")
    titles = [offer.title for offer in offers]
    assert titles[:4] == ["Pip", "mine", "b", catalogue()[0].title]
    assert offers.find(SHIPPED).path == presets.default_model_path()
    assert offers.path_of(offers.find("local-0")) == mine


def test_visitors_see_no_names_of_the_owners_files(mine: Path) -> None:
    offers = Offers([mine])
    offers.add_found([Found("a/b", "c.pth")])
    assert not {"mine", "c.pth"} & {offer.title for offer in offers.public}
    for key in ("local-0", "a/b/c.pth"):
        assert offers.find(key)
        with pytest.raises(SettingsError, match="no model"):
            offers.find(key, is_public=True)


@pytest.mark.parametrize("key", ["../../etc/passwd", "/etc/passwd", "", None, 7, ["shipped"]])
def test_a_key_that_is_none_is_refused(key: object) -> None:
    with pytest.raises(SettingsError, match="choose one of the list"):
        Offers().find(key)


def test_what_a_model_is_made_of_comes_from_the_catalogue_or_its_own_file(
    mine: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.pth").write_bytes(b"x")
    offers = Offers([mine, tmp_path / "broken.pth"])
    inventory = offers.inventory_of(offers.find("local-0"))
    assert inventory is not None
    assert inventory.config.n_layer == 2
    assert offers.inventory_of(offers.find("local-0")) is inventory
    assert offers.inventory_of(offers.find(catalogue()[0].file)) == catalogue()[0].inventory
    with pytest.raises(CheckpointError, match=r"broken\.pth"):
        offers.inventory_of(offers.find("local-1"))
    offers.add_found([Found("a/b", "c.pth")])
    assert offers.inventory_of(offers.find("a/b/c.pth")) is None


def test_what_a_search_found_takes_the_place_of_the_last_find_and_repeats_no_official_file() -> (
    None
):
    offers, first = Offers(), catalogue()[0]
    offers.add_found([Found("a/b", "c.pth"), Found(first.repository, first.file)])
    offers.add_found([Found("a/b", "d.pth")])
    keys = [offer.key for offer in offers]
    assert (keys[-1], keys.count(first.file)) == ("a/b/d.pth", 1)
    assert "a/b/c.pth" not in keys


def test_a_file_that_has_gone_since_is_told_by_its_name(mine: Path) -> None:
    offers = Offers([mine])
    offer = offers.find("local-0")
    assert offers.file_bytes(offer) > 0
    mine.unlink()
    assert offers.file_bytes(offer) == 0
    with pytest.raises(CheckpointError, match=r"mine\.safetensors"):
        offers.inventory_of(offer)


def test_a_link_that_leads_nowhere_is_not_offered(mine: Path) -> None:
    (mine.parent / "gone.pth").symlink_to(mine.parent / "nothing.pth")
    assert weights_in(mine.parent) == [mine]


def test_a_folder_that_is_none_or_holds_no_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        weights_in(tmp_path / "none")
    with pytest.raises(SettingsError, match="holds no weights"):
        weights_in(tmp_path)
