"""zlib and gzip (RFC 1950 and 1952), by ISA-L where there is a wheel of it: in a quarter of the time."""

try:
    from isal import isal_zlib as zlib
except ImportError:
    import zlib  # type: ignore[no-redef]

__all__ = ["gzip", "zlib"]

LEVEL = 1  # more costs more time than a network or a disk gives back for it
_GZIP_BITS = 16 + zlib.MAX_WBITS


def gzip(data: bytes) -> bytes:
    """Return bytes as a gzip file without a name and a time: the same bytes give the same ones.

    >>> import gzip as standard
    >>> standard.decompress(gzip(b"car 7 created"))
    b'car 7 created'
    """
    return zlib.compress(data, LEVEL, _GZIP_BITS)
