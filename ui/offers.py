"""Models that the page can speak of: the shipped one, files of the owner, the catalogue, finds.

A visitor sends keys of this list, never a path or an address.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from presets import DEFAULT_MODEL_NAME, default_model_path
from presets.catalogue import CatalogueModel, catalogue
from rwkv_core.checkpoint.paths import SUFFIXES, name_of, stamp_of
from rwkv_core.errors import SettingsError
from rwkv_core.hub import Found, cached_file, fetched_bytes
from rwkv_core.models.loading import open_checkpoint
from rwkv_core.models.outline import Inventory, inventory_of_file

SHIPPED = "shipped"
# Files of a folder that are offered.
MAX_FILES = 100


@dataclass(frozen=True)
class Offer:
    """One model.

    Attributes:
        key: what the page calls it.
        title: what people call it.
        path: where it lies, for those that need not be fetched.
        repository: on the Hub; "" for files of this machine.
        file: its name there.
        entry: of the catalogue.
    """

    key: str
    title: str
    path: Path | None = None
    repository: str = ""
    file: str = ""
    entry: CatalogueModel | None = None

    @property
    def sha256(self) -> str:
        """What its content must be; "" where nobody says."""
        return self.entry.sha256 if self.entry else ""


class Offers:
    """All models of a page.

    Args:
        local: files that the owner named on the command line.
        folder: whose weights the owner offers too.
        cache: of the Hub's files; huggingface_hub's own by default.

    Raises:
        SettingsError: the folder cannot be read, or holds no weights.
    """

    def __init__(
        self, local: Sequence[Path] = (), folder: Path | None = None, cache: Path | None = None
    ) -> None:
        self._cache = cache
        local = [*local, *(weights_in(folder) if folder else ())]
        self._fixed = [Offer(SHIPPED, DEFAULT_MODEL_NAME, default_model_path())]
        self._fixed += [
            Offer(f"local-{number}", name_of(path), path) for number, path in enumerate(local)
        ]
        self._fixed += [
            Offer(entry.file, entry.title, None, entry.repository, entry.file, entry)
            for entry in catalogue()
        ]
        self._found: tuple[Offer, ...] = ()
        self._inventories: dict[tuple[Path, int], Inventory] = {}

    def __iter__(self) -> Iterator[Offer]:
        yield from self._fixed
        yield from self._found

    @property
    def public(self) -> list[Offer]:
        """What every visitor sees: the shipped model and the catalogue."""
        return [offer for offer in self._fixed if offer.key == SHIPPED or offer.entry]

    def add_found(self, found: Sequence[Found]) -> None:
        """Offer what a search found, in place of what the last one did."""
        known = {(offer.repository, offer.file) for offer in self._fixed}
        self._found = tuple(
            Offer(f"{one.repository}/{one.file}", one.file, None, one.repository, one.file)
            for one in found
            if (one.repository, one.file) not in known
        )

    def find(self, key: object, *, is_public: bool = False) -> Offer:
        """Look a model up.

        Args:
            key: of the model.
            is_public: look only among those that every visitor sees.

        Raises:
            SettingsError: there is no such key.
        """
        among = self.public if is_public else self
        offer = next((offer for offer in among if offer.key == key), None)
        if offer is None:
            raise SettingsError(
                "there is no model {name!r}; choose one of the list", name=str(key)[:80]
            )
        return offer

    def path_of(self, offer: Offer) -> Path | None:
        """Where its file lies on this machine; None where it has to be fetched."""
        if offer.path is not None:
            return offer.path
        return cached_file(offer.repository, offer.file, cache=self._cache)

    def fetched_bytes(self, offer: Offer) -> int:
        """Bytes that an interrupted download has left."""
        if not offer.repository:
            return 0
        return fetched_bytes(offer.repository, offer.file, cache=self._cache)

    def file_bytes(self, offer: Offer) -> int:
        """Bytes of its file; 0 where that is not known."""
        path = self.path_of(offer)
        if path is not None:
            return stamp_of(path)[0]
        return offer.entry.bytes_to_fetch if offer.entry else 0

    def inventory_of(self, offer: Offer) -> Inventory | None:
        """What a model is made of; None where only its file could tell, and is not here.

        Raises:
            CheckpointError: its file cannot be read.
        """
        if offer.entry is not None:
            return offer.entry.inventory
        path = self.path_of(offer)
        if path is None:
            return None
        # Of a file that has gone, opening it says so.
        seen = path, stamp_of(path)[1]
        if seen not in self._inventories:
            self._inventories[seen] = inventory_of_file(open_checkpoint(path))
        return self._inventories[seen]


def weights_in(folder: Path) -> list[Path]:
    """Files of weights in a folder, by name.

    Raises:
        SettingsError: there is no such folder, or nothing in it.
    """
    try:
        files = (path for path in folder.expanduser().iterdir() if path.suffix in SUFFIXES)
        # A link may lead nowhere.
        entries = sorted(path for path in files if path.exists())
    except OSError as error:
        raise SettingsError(
            "--models-folder {folder} cannot be read ({error}); name a folder",
            folder=folder,
            error=error.strerror,
        ) from error
    if not entries:
        raise SettingsError(
            "--models-folder {folder} holds no weights ({endings}); name another",
            folder=folder,
            endings=", ".join(SUFFIXES),
        )
    return entries[:MAX_FILES]
