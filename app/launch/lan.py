"""This machine's addresses in its network, and what the terminal shows when a class begins."""

from __future__ import annotations

import secrets
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress

from litellama.tinytown.words import THINGS

WORDS_OF_A_PASSWORD = 3


def lan_addresses() -> list[str]:
    """This machine's addresses on its own networks, the likeliest first; nothing is sent to find them."""
    found: list[str] = []
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # an address for documentation: only the way there is chosen
        found.append(probe.getsockname()[0])
    with suppress(OSError):
        found += [str(one[4][0]) for one in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)]
    return [address for address in dict.fromkeys(found) if not address.startswith("127.")]


def host_names() -> list[str]:
    """Names that a browser in the same network may call this machine by."""
    name = socket.gethostname().casefold()
    return [name, f"{name}.local"]


def new_password() -> str:
    """Three words, easy to say aloud, and a number: about 30 bits, and at most 20 passwords can be tried a second."""
    words = sorted({word for word in THINGS if word.isalpha()})
    return "-".join([*(secrets.choice(words) for _ in range(WORDS_OF_A_PASSWORD)), str(secrets.randbelow(90) + 10)])


def class_instructions(addresses: Sequence[str], password: str, teacher_password: str, encrypted: bool) -> str:
    """What the terminal shows: address, passwords, a code to be photographed, and who could read along."""
    lines = [
        "", "  Pupils open       " + "  or  ".join(addresses), f"  and say           {password}",
        f"  Your own page     {addresses[0]}teacher   ({teacher_password})", "", _qr_code(addresses[0]),
    ]  # fmt: skip
    if not encrypted:
        lines.append(
            "  Nothing is encrypted: whoever is in the same network can read what pupils type and the passwords. Use a "
            "network of your own, tell pupils to write nothing private, or put TLS in front (README, A class)."
        )
    return "\n".join(lines)


def _qr_code(address: str) -> str:
    """The address as a QR code made of letters; nothing where it can't be shown."""
    try:
        import segno
    except ModuleNotFoundError:
        return ""
    qr = segno.make(address, micro=False)
    rows = [[*row] for row in qr.matrix_iter(border=2)]
    rows += [] if len(rows) % 2 == 0 else [[0] * len(rows[0])]
    blocks = {(0, 0): "█", (0, 1): "▀", (1, 0): "▄", (1, 1): " "}  # dark terminal: light cells are drawn
    text = "\n".join(
        "  " + "".join(blocks[bool(top), bool(below)] for top, below in zip(upper, lower, strict=True))
        for upper, lower in zip(rows[::2], rows[1::2], strict=True)
    )
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return ""
    return text
