"""A text of many lines or entities in XMP takes as long as its length says."""

import time

import pytest

from vitsearch.photos.xmp import LARGEST_PACKET, read_xmp

HEAD = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>a</dc:title><dc:description>'
)


@pytest.mark.parametrize("unit", [b"\n", b"&amp;", b"&#x4e2d;"])
def test_a_packet_of_one_long_text_is_read_in_seconds(unit):
    packet = HEAD + unit * ((LARGEST_PACKET - len(HEAD)) // len(unit))
    started = time.perf_counter()
    assert read_xmp(packet).first("dc:title") == "a"
    assert time.perf_counter() - started < 10
