"""One HTTP request to the hub, and what its failure means in plain words.

Redirects are followed here, so that the token is sent to the hub only, never to the server that the hub redirects to.
The session of huggingface_hub is not used: it cannot be cancelled, and the app switches it offline, because Gradio uses
it too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from litellama import __version__

if TYPE_CHECKING:
    from httpx2 import Client, Response

BUSY = (408, 429, 500, 502, 503, 504)  # answers of a server that may do better later
SECONDS = 20  # without a byte, after which a connection counts as broken
MOST_REDIRECTS = 10


class HubError(ValueError):
    """Why a model cannot be fetched, in one sentence. `kind`: library, offline, network, busy, gated, token, not_found,
    revision, content, damaged, disk, exists, locked, conversion, pip, index, certificate, package, room or local."""

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


class BusyError(Exception):
    """The server is busy: try again after `wait` seconds, and raise `error` when there were tries enough."""

    def __init__(self, wait: int, error: HubError) -> None:
        super().__init__(str(error))
        self.wait = wait
        self.error = error


def hub_library() -> Any:
    """The module huggingface_hub, with its telemetry off. Raises `HubError` if it is not installed."""
    try:
        import filelock  # noqa: F401 (this and the next are what it brings along)
        import httpx2  # noqa: F401
        import huggingface_hub.constants
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


def hub_client() -> Client:
    """An HTTP client, to be used by `with`. It tells servers the lab's version, and nothing of this machine."""
    hub_library()
    import httpx2

    return httpx2.Client(timeout=SECONDS, headers={"user-agent": f"litellama/{__version__}"})


@dataclass(frozen=True)
class Hub:
    """Where a repository is: the hub's address, the repository's name, and the user's token if there is one."""

    endpoint: str
    repo: str
    token: str | None = field(repr=False)


@contextmanager
def answered(client: Client, hub: Hub, address: str, headers: Mapping[str, str] | None = None) -> Iterator[Response]:
    """The response of `address` after all redirects, with status 200, 206 or 416; `headers` are sent along.

    Raises `HubError`, `BusyError` and httpx2's errors.
    """
    for _ in range(MOST_REDIRECTS):
        own = _origin(address) == _origin(hub.endpoint)
        sent = {**(headers or {}), "accept-encoding": "identity"}
        if own and hub.token:  # never to a server that the hub redirects to
            sent["authorization"] = f"Bearer {hub.token}"
        with client.stream("GET", address, headers=sent, follow_redirects=False) as answer:
            if not answer.has_redirect_location:
                if answer.status_code not in (200, 206, 416):
                    raise _fault(hub, answer, own)
                yield answer
                return
            address = led_on(address, answer.headers["location"])
    raise HubError("content", f"{urlsplit(hub.endpoint).netloc} leads in circles; nothing was installed")


def led_on(address: str, location: str) -> str:
    """The address that `address` redirects to. Raises `HubError` for a redirect from https to anything else."""
    try:
        target = urljoin(address, location)
        scheme = urlsplit(target).scheme
    except ValueError:
        scheme = ""
    if scheme not in ("https", urlsplit(address).scheme):
        raise HubError("content", f"{urlsplit(address).netloc} leads on to an unsafe address; nothing was fetched")
    return target


def _fault(hub: Hub, answer: Response, own: bool) -> Exception:
    """What a response without a file means. `own`: it is the hub's own; of another server's, only that it failed."""
    code, message = (answer.headers.get(f"x-error-{part}", "") for part in ("code", "message"))
    error = refusal(hub, answer.status_code, code, message)
    if own and answer.status_code not in BUSY:
        return error
    after = answer.headers.get("retry-after", "")
    if not own:
        host = urlsplit(str(answer.url)).netloc
        error = HubError("network", f"{host} answered {answer.status_code}; try again later")
    return BusyError(int(after) if after.isdecimal() else 0, error)


def refusal(hub: Hub, status: int, code: str, message: str) -> HubError:
    """What it means that the hub answered with `status`, and `code` in its header X-Error-Code."""
    repo, endpoint = hub.repo, hub.endpoint
    page, settings = f"{endpoint}/{repo}", f"{endpoint}/settings/tokens"
    if code == "RevisionNotFound":
        return HubError("revision", f"{repo} has no such revision; leave out --revision for the newest")
    if code == "GatedRepo" or (status == 403 and code != "RepoNotFound"):
        if hub.token:
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
    if status == 401 and hub.token and code != "RepoNotFound":
        return HubError("token", f"the hub does not accept your token; make a new one on {settings} for HF_TOKEN")
    if status in (401, 404):  # the hub says 401 also of what does not exist, lest private names be guessed
        return HubError(
            "not_found",
            f"there is no {repo} on {urlsplit(endpoint).netloc}, or it is private; check the name at {page}",
        )
    if status in BUSY:
        return HubError("busy", f"{urlsplit(endpoint).netloc} is too busy (answer {status}); try again later")
    return HubError("network", f"{urlsplit(endpoint).netloc} answered {status} {printable(message)}".rstrip())


def no_connection(endpoint: str, error: Exception) -> HubError:
    """The error for a server that cannot be reached, or a connection that breaks too often."""
    return HubError(
        "network",
        f"{urlsplit(endpoint).netloc} cannot be reached ({error or type(error).__name__}); check the network",
    )


def printable(text: str) -> str:
    """A server's text without control characters, at most 80 characters of it."""
    return "".join(character for character in text if character.isprintable())[:80]


def _origin(address: str) -> tuple[str, str, int | None]:
    parts = urlsplit(address)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)
