"""Packed bodies: gzip and deflate are unpacked, as far as an unpacked body may go.

A thousandth of the bytes is enough to send a body of zeros, so the limit holds for what comes out,
and unpacking stops there.
"""

import zlib
from collections.abc import Sequence

from pipeline.serve.open_inference import RequestRefused

_FORMATS = {
    "gzip": [16 + zlib.MAX_WBITS],
    "deflate": [zlib.MAX_WBITS, -zlib.MAX_WBITS],  # as RFC 9110 has it, and as some clients send it
}
_ALIASES = {"x-gzip": "gzip"}


def content_encoding(headers: Sequence[str]) -> str:
    """The one packing that a body's headers name; "" for none.

    Raises:
        Refused: it is another, or there are several, one around the other.
    """
    words = [word.strip().lower() for header in headers for word in header.split(",")]
    found = [_ALIASES.get(word, word) for word in words if word not in ("", "identity")]
    if len(found) > 1 or any(word not in _FORMATS for word in found):
        raise RequestRefused(
            415,
            f"the body is packed as {', '.join(found)!r:.60}; one of {', '.join(_FORMATS)} is "
            "unpacked, or send it as it is",
            **{"accept-encoding": ", ".join([*_FORMATS, "identity"])},
        )
    return found[0] if found else ""


def decompress(body: bytes, packing: str, limit: int) -> bytes:
    """A body as it was before it was packed.

    Raises:
        Refused: it would be larger than `limit`, is cut off, or is not packed so.
    """
    if not packing:
        return body
    for bits in _FORMATS[packing]:
        stream = zlib.decompressobj(bits)
        try:
            found = stream.decompress(body, limit + 1)
        except zlib.error:
            continue
        if len(found) > limit:
            raise RequestRefused(
                413, f"the body unpacks to more than {limit} bytes, the most that is read"
            )
        if not stream.eof or stream.unused_data:
            raise RequestRefused(
                400, f"the {packing} body ends too early, or goes on after its end"
            )
        return found
    raise RequestRefused(400, f"the body is not packed as {packing}, as its header says")
