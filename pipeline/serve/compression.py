"""Compressed request bodies: gzip and deflate, decompressed up to the limit of a body.

A compressed body of zeros is a thousandth of its size (a zip bomb), so the limit applies to the
output, and decompression stops there.
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
    """The one Content-Encoding that a body's headers name; "" for none.

    Raises:
        RequestRefused: it is not supported, or several are nested.
    """
    words = [word.strip().lower() for header in headers for word in header.split(",")]
    encodings = [_ALIASES.get(word, word) for word in words if word not in ("", "identity")]
    if len(encodings) > 1 or any(word not in _FORMATS for word in encodings):
        raise RequestRefused(
            415,
            f"the content encoding is {', '.join(encodings)!r:.60}, supported is one of "
            f"{', '.join(_FORMATS)}; or send the body uncompressed",
            **{"accept-encoding": ", ".join([*_FORMATS, "identity"])},
        )
    return encodings[0] if encodings else ""


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """A body without its content encoding.

    Raises:
        RequestRefused: it would be larger than `limit`, is cut off, or has another encoding.
    """
    if not encoding:
        return body
    for bits in _FORMATS[encoding]:
        stream = zlib.decompressobj(bits)
        try:
            content = stream.decompress(body, limit + 1)
        except zlib.error:
            continue
        if len(content) > limit:
            raise RequestRefused(413, f"the body unpacks to more than {limit} bytes")
        if not stream.eof or stream.unused_data:
            raise RequestRefused(400, f"the {encoding} body is cut off, or continues after its end")
        return content
    raise RequestRefused(400, f"the body is not {encoding}, as its header says")
