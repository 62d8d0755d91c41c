"""gzip, as a server reads it, with ISA-L and without."""

import gzip

import pytest

from dashcam.destinations import deflate

from ..processes import run

WITHOUT = """
import sys
sys.modules["isal"] = None
from dashcam.destinations.deflate import gzip, zlib
print(zlib.__name__, gzip(bytes.fromhex(sys.argv[1])).hex())
"""


@pytest.mark.parametrize("data", [b"", b"car 7", bytes(range(256)) * 5000], ids=len)
def test_what_it_packs(data):
    """Python's own gzip unpacks it, of either library; the same bytes come out the same each time."""
    small = data[:2000]
    name, packed = run(WITHOUT, small.hex()).split()

    assert gzip.decompress(deflate.gzip(data)) == data
    assert deflate.gzip(data) == deflate.gzip(data)
    assert (name, gzip.decompress(bytes.fromhex(packed))) == ("zlib", small)
