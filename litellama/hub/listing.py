"""What a repository of the Hugging Face hub has of a model: its files with size and hash, its licence, its commit.

Everything is fetched from the one commit that was found, so that files of two commits never mix. A file name that could
lead out of the folder, and a file without a hash, are refused here.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from time import sleep
from typing import Any
from urllib.parse import quote

from litellama.checkpoint import CONFIG
from litellama.checkpoint.layout import SHARD_INDEX, TOKENIZER, WEIGHTS
from litellama.hub.client import (
    BusyError,
    Hub,
    HubError,
    answered,
    hub_client,
    hub_library,
    hub_token,
    no_connection,
    printable,
)

WAITS = (1, 2, 4)  # seconds
LONGEST = 20 * 2**20  # bytes of a listing; real ones have some thousand

WANTED = re.compile(
    r"config\.json|generation_config\.json|tokenizer\.json|vocab\.json|merges\.txt|tokenizer_config\.json"
    r"|special_tokens_map\.json|added_tokens\.json|chat_template\.(json|jinja)|README\.md|USE_POLICY\.md"
    r"|LICEN[SC]E([A-Za-z0-9._-]*[A-Za-z0-9])?"
)
SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.safetensors")
PICKLE = re.compile(r"pytorch_model[A-Za-z0-9._-]*\.bin")
PICKLED, PICKLE_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
LICENCES = {  # of the tags that the lab's models bear: the name for people, the text
    "mit": ("MIT", "https://opensource.org/license/mit"),
    "apache-2.0": ("Apache 2.0", "https://www.apache.org/licenses/LICENSE-2.0"),
    "llama2": ("LLaMA 2 Community Licence", "https://ai.meta.com/llama/license/"),
}


@dataclass(frozen=True)
class HubFile:
    """One file as the hub lists it. Large ones have a SHA-256, small ones git's SHA-1 of "blob SIZE\\0" and content."""

    name: str
    bytes: int
    sha256: str | None
    sha1: str | None

    @property
    def hash(self) -> str:
        return self.sha256 or self.sha1 or ""


@dataclass(frozen=True)
class Listing:
    """What would be fetched of `repo` at `commit`, small files first."""

    repo: str
    revision: str
    commit: str
    endpoint: str
    licence: str
    licence_link: str
    files: tuple[HubFile, ...]

    @property
    def name(self) -> str:
        return self.repo.partition("/")[2]

    @property
    def page(self) -> str:
        return f"{self.endpoint}/{self.repo}"

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    @property
    def needs_conversion(self) -> bool:
        """Whether the weights are there as a pickle only, which the lab does not open as it is."""
        return not any(SAFE.fullmatch(file.name) for file in self.files)


def look_up(repo: str, revision: str = "main") -> Listing:
    """Ask the hub (or `HF_ENDPOINT`) what `repo` holds. Raises `HubError`."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?", repo, re.ASCII) or ".." in repo:
        raise HubError(
            "not_found", f"{repo!r} is no repository's name; one such as ahxt/LiteLlama-460M-1T was expected"
        )
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise HubError("offline", "HF_HUB_OFFLINE is set, so nothing is fetched; unset it to fetch")
    library = hub_library()
    endpoint = (os.environ.get("HF_ENDPOINT") or library.constants.ENDPOINT).rstrip("/")
    try:
        info = json.loads(_ask(Hub(endpoint, repo, hub_token()), revision))
        commit, files = info["sha"], [_file(one) for one in info["siblings"]]
        if not re.fullmatch(r"[0-9a-f]{40}", commit):
            raise HubError("content", f"{endpoint} names no commit of {repo}; without one, files of two could mix")
        wanted = sorted(_wanted(repo, files), key=lambda file: (file.bytes, file.name))
        names = [file.name for file in wanted]
        licence, link = _licence(info.get("cardData") or {}, f"{endpoint}/{repo}", commit, names)
    except HubError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as wrong:
        raise HubError("content", f"{endpoint} lists {repo} in a form that is not the hub's ({wrong!r})") from None
    return Listing(repo, revision, commit, endpoint, licence, link, tuple(wanted))


def _ask(hub: Hub, revision: str) -> bytes:
    """The hub's own listing, as JSON. If the hub is busy, it is asked a few times."""
    import httpx2

    address = f"{hub.endpoint}/api/models/{hub.repo}/revision/{quote(revision, safe='')}?blobs=true"
    for wait in (*WAITS, None):
        try:
            with hub_client() as client, answered(client, hub, address) as answer:
                told = b""
                for block in answer.iter_bytes():
                    told += block
                    if len(told) > LONGEST:
                        raise HubError("content", f"{hub.endpoint} lists far more of {hub.repo} than a model has")
                return told
        except BusyError as busy:
            if wait is None:
                raise busy.error from None
            sleep(wait)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise no_connection(hub.endpoint, error) from None
    raise AssertionError


def _file(sibling: dict[str, Any]) -> HubFile:
    """One listed file. Raises `HubError` for a name that could lead out of its folder."""
    name, lfs = sibling["rfilename"], sibling.get("lfs")
    if re.search(r"\.\.|\\|//|[\x00-\x1f:]|^/|^$", name):
        raise HubError("content", f"this repository lists the file {name!r}, which may lead elsewhere; nothing fetched")
    large = {} if lfs is None else {"sha256": lfs["sha256"], "size": lfs["size"]}
    return HubFile(name, (large or sibling)["size"], large.get("sha256"), sibling.get("blobId"))


def _wanted(repo: str, files: Sequence[HubFile]) -> list[HubFile]:
    """The files that a model needs, each with a size and a hash; .bin files only where there are no safetensors."""
    names = [file.name for file in files]
    weights = [name for name in names if SAFE.fullmatch(name)]
    weights = [WEIGHTS] if WEIGHTS in weights else weights and [*weights, SHARD_INDEX]
    pickles = [name for name in names if PICKLE.fullmatch(name)]
    pickles = [PICKLED] if PICKLED in pickles else pickles and [*pickles, PICKLE_INDEX]
    if CONFIG not in names:
        raise HubError("content", f"{repo} has no {CONFIG}; a model in the form of Hugging Face's Llama was expected")
    if not {TOKENIZER} <= set(names) and not {"vocab.json", "merges.txt"} <= set(names):
        raise HubError("content", f"{repo} has no {TOKENIZER}, without which the lab cannot open it")
    if not weights and not pickles:
        raise HubError("content", f"{repo} has neither safetensors nor {PICKLED}; it holds no weights to open")
    wanted = [file for file in files if WANTED.fullmatch(file.name) or file.name in (weights or pickles)]
    for file in wanted:
        if [one.name.lower() for one in wanted].count(file.name.lower()) > 1:
            raise HubError("content", f"{repo} lists {file.name} twice")
        length = 64 if file.sha256 is not None else 40
        if type(file.bytes) is not int or file.bytes < 0 or not re.fullmatch(rf"[0-9a-f]{{{length}}}", file.hash):
            raise HubError("content", f"the hub gives no size or no hash of {file.name}, so it could not be verified")
    return wanted


def _licence(card: dict[str, Any], page: str, commit: str, names: Sequence[str]) -> tuple[str, str]:
    """The licence that the repository's card states, and where its text is."""
    tag = card.get("license")
    name, link = LICENCES.get(str(tag).lower(), (str(tag or "not stated on its card"), page))
    if tag == "other":
        name = str(card.get("license_name") or "a licence of its own")
    texts = [one for one in names if one.startswith("LICEN")]
    return printable(name), f"{page}/blob/{commit}/{texts[0]}" if texts else link
