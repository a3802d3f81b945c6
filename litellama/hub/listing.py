"""What a repository of the Hugging Face hub holds of a model: its files with size and hash, its licence, its commit.

Needs the library huggingface_hub. Everything is pinned to the commit that was found, so that files of two commits
never mix; a name that could lead out of a folder, or a file without a hash, is refused here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from time import sleep
from typing import Any
from urllib.parse import urlsplit

from litellama import __version__
from litellama.checkpoint import CONFIG, SHARD_INDEX, TOKENIZER, WEIGHTS

BUSY = (408, 429, 500, 502, 503, 504)  # answers of a server that may do better later
WAITS = (1, 2, 4)  # seconds
SECONDS = 20  # without a byte, after which a connection counts as broken

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


class HubError(ValueError):
    """Why a model is not fetched, in one sentence. `kind`: library, offline, network, busy, gated, token, not_found,
    revision, content, damaged, disk, exists, locked or conversion."""

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


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


def hub_library() -> Any:
    """The module huggingface_hub, told to tell nobody about this machine. Raises `HubError` if it is not installed."""
    try:
        import filelock  # noqa: F401 (this and the next are what it brings along)
        import httpx2  # noqa: F401
        import huggingface_hub.constants
        import huggingface_hub.errors
    except ModuleNotFoundError:
        raise HubError(
            "library",
            "models are fetched by the library huggingface_hub, which is not installed here; install the lab's extra "
            '"hub", or "app", which has it too: python -m pip install -e ".[hub]"',
        ) from None
    huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY = True
    return huggingface_hub


def hub_token() -> str | None:
    """The token in `HF_TOKEN`, or the one that `hf auth login` has stored."""
    library = hub_library()
    return None if library.constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else library.get_token()


def look_up(repo: str, revision: str = "main") -> Listing:
    """Ask the hub (or `HF_ENDPOINT`) what `repo` holds. Raises `HubError`."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?", repo, re.ASCII) or ".." in repo:
        raise HubError(
            "not_found", f"{repo!r} is no repository's name; one such as ahxt/LiteLlama-460M-1T was expected"
        )
    library = hub_library()
    endpoint = (os.environ.get("HF_ENDPOINT") or library.constants.ENDPOINT).rstrip("/")
    info = _ask(library, endpoint, repo, revision)
    try:
        commit, files = info.sha, [_file(one) for one in info.siblings or ()]
        if not re.fullmatch(r"[0-9a-f]{40}", commit):
            raise HubError("content", f"{endpoint} names no commit of {repo}; without one, files of two could mix")
        wanted = sorted(_wanted(repo, files), key=lambda file: (file.bytes, file.name))
        licence, link = _licence(info.card_data, f"{endpoint}/{repo}", commit, [file.name for file in wanted])
    except (TypeError, AttributeError) as wrong:
        raise HubError("content", f"{endpoint} lists {repo} in a form that is not the hub's ({wrong})") from None
    return Listing(repo, revision, commit, endpoint, licence, link, tuple(wanted))


def refusal(repo: str, endpoint: str, has_token: bool, status: int, code: str, message: str) -> HubError:
    """What it means that the hub answered with `status` and its own header X-Error-Code."""
    page, settings = f"{endpoint}/{repo}", f"{endpoint}/settings/tokens"
    if code == "RevisionNotFound":
        return HubError("revision", f"{repo} has no such revision; leave out --revision for the newest")
    if code == "GatedRepo" or (status == 403 and code != "RepoNotFound"):
        if has_token:
            return HubError(
                "gated",
                f"{repo} is gated, and your token may not read it: accept its licence on {page} with the account "
                f"of that token, wait for the approval, and see on {settings} that the token may read gated "
                "repositories",
            )
        return HubError(
            "gated",
            f"{repo} is gated: log in on {page} and accept its licence, make a token on {settings}, set HF_TOKEN "
            "to it, and run the same command again",
        )
    if status == 401 and has_token and code != "RepoNotFound":
        return HubError("token", f"the hub does not accept your token; make a new one on {settings} for HF_TOKEN")
    if status in (401, 404):  # the hub says 401 also of what does not exist, lest private names be guessed
        return HubError(
            "not_found",
            f"there is no {repo} on {urlsplit(endpoint).netloc}, or it is private; check the name at {page}",
        )
    if status in BUSY:
        return HubError("busy", f"{urlsplit(endpoint).netloc} is too busy (answer {status}); try again later")
    return HubError("network", f"{urlsplit(endpoint).netloc} answered {status} {_printable(message)}".rstrip())


def no_connection(endpoint: str, error: Exception) -> HubError:
    """What it means that no connection came about, or broke too often."""
    return HubError(
        "network",
        f"{urlsplit(endpoint).netloc} cannot be reached ({error or type(error).__name__}); check the network",
    )


def _ask(library: Any, endpoint: str, repo: str, revision: str) -> Any:
    import httpx2

    token = hub_token()
    api = library.HfApi(endpoint=endpoint, token=token or False, library_name="litellama", library_version=__version__)
    for wait in (*WAITS, None):
        try:
            return api.model_info(repo, revision=revision, files_metadata=True, timeout=SECONDS)
        except library.errors.OfflineModeIsEnabled:
            raise HubError("offline", "HF_HUB_OFFLINE is set, so nothing is fetched; unset it to fetch") from None
        except library.errors.HfHubHTTPError as error:
            answer = error.response
            if wait is None or answer.status_code not in BUSY:
                code, message = (answer.headers.get(f"x-error-{part}", "") for part in ("code", "message"))
                raise refusal(repo, endpoint, token is not None, answer.status_code, code, message) from None
            sleep(wait)
        except httpx2.HTTPError as error:
            raise no_connection(endpoint, error) from None
        except (KeyError, TypeError, ValueError, AttributeError) as wrong:
            raise HubError("content", f"{endpoint} answers in a form that is not the hub's ({wrong!r})") from None
    raise AssertionError


def _file(sibling: Any) -> HubFile:
    """One entry as it was listed; raises `HubError` for a name that leads out of the folder it would be put in."""
    name, lfs = sibling.rfilename, sibling.lfs
    if re.search(r"\.\.|\\|//|[\x00-\x1f:]|^/|^$", name):
        raise HubError("content", f"this repository lists the file {name!r}, which may lead elsewhere; nothing fetched")
    return HubFile(name, lfs.size if lfs else sibling.size, lfs.sha256 if lfs else None, sibling.blob_id)


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


def _licence(card: Any, page: str, commit: str, names: Sequence[str]) -> tuple[str, str]:
    """The licence that the repository's card states, and where its text is."""
    tag = getattr(card, "license", None)
    name, link = LICENCES.get(str(tag).lower(), (str(tag or "not stated on its card"), page))
    if tag == "other":
        name = str(getattr(card, "license_name", None) or "a licence of its own")
    texts = [one for one in names if one.startswith("LICEN")]
    return _printable(name), f"{page}/blob/{commit}/{texts[0]}" if texts else link


def _printable(text: str) -> str:
    """What a server says, fit for a terminal's line."""
    return "".join(character for character in text if character.isprintable())[:80]
