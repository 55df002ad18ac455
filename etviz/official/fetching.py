"""A file from its address into memory: within bounds, and accepted only with the git blob id that it must have."""

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from etviz.errors import UsageError, reason
from etviz.version import __version__

MOST_BYTES = 256 * 2**20
PIECE = 1 << 16
PATIENCE = 30.0  # seconds for an answer, and for each piece

Progress = Callable[[int, int | None], None]  # bytes so far, and of how many where the server says


class Refused(Exception):
    """Why one address does not give the file; the text is a clause."""


def fetch(addresses: Sequence[str], blob: str, progress: Progress = lambda done, total: None) -> bytes:
    """The bytes with a git blob id, from the first address that gives them. Redirects are followed.

    Args:
        addresses: http or https, of the same bytes.
        blob: 40 hexadecimal digits, see `blob_id`.
        progress: called with each piece.

    Raises:
        UsageError: no address gives those bytes. The sentence says why the first does not, and how to do without.
    """
    problems = []
    for address in addresses:
        try:
            return _checked(_download(address, progress), blob)
        except Refused as error:
            problems.append(f"{address} {error}")
    raise UsageError(
        f"{problems[0]}: try again later, or fetch the file by other means and convert it with "
        "'python -m etviz.convert FILE NAME'."
    )


def blob_id(data: bytes) -> str:
    """The id that git gives a file's content: SHA-1 of b"blob SIZE\\0" and the content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _checked(data: bytes, blob: str) -> bytes:
    found = blob_id(data)
    if found != blob:
        raise Refused(f"gave another file than the published one (blob {found} instead of {blob})")
    return data


def _download(address: str, progress: Progress) -> bytes:
    _check_scheme(address)
    request = urllib.request.Request(address, headers={"User-Agent": f"etviz/{__version__}"})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            _check_scheme(answer.url)
            return _read(answer, progress)
    except urllib.error.HTTPError as error:
        raise Refused(f"answered {error.code} ({error.reason})") from error
    except (urllib.error.URLError, TimeoutError, OSError) as error:
        cause = getattr(error, "reason", error)
        raise Refused(f"cannot be reached ({reason(Exception(cause))})") from error
    except http.client.HTTPException as error:
        raise Refused(f"broke off ({reason(error)})") from error


def _check_scheme(address: str) -> None:
    if urlsplit(address).scheme not in ("http", "https"):
        raise Refused("is no address on the web")


def _read(answer: http.client.HTTPResponse, progress: Progress) -> bytes:
    length = answer.headers.get("Content-Length", "")
    total = int(length) if length.isdecimal() else None
    if total is not None and total > MOST_BYTES:
        raise Refused(f"would send {total:,} bytes, which is too much")
    data = bytearray()
    while piece := answer.read(PIECE):
        data += piece
        if len(data) > MOST_BYTES:
            raise Refused(f"sends more than {MOST_BYTES:,} bytes")
        progress(len(data), total)
    if total is not None and len(data) < total:
        raise Refused(f"broke off after {len(data):,} of {total:,} bytes")
    return bytes(data)
