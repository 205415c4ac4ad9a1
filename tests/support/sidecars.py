"""Sidecar files as other programs write them."""

import re
from collections.abc import Iterable
from pathlib import Path
from xml.sax.saxutils import escape

from vitsearch.heads.xmp import sidecar_path
from vitsearch.photos.xmp import read_xmp

DARKTABLE = """<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:darktable="http://darktable.sf.net/"
   xmp:Rating="4"
   darktable:params='a > b &amp; c&#10;d'>
   <dc:subject>
    <rdf:Seq>
     <rdf:li>sea &amp; sky</rdf:li>
     <rdf:li>wrong</rdf:li>
    </rdf:Seq>
   </dc:subject>
   <!-- a remark -->
   <darktable:history><rdf:Seq/></darktable:history>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""
DIGIKAM = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:digiKam="http://www.digikam.org/ns/1.0/" xmlns:d="http://purl.org/dc/elements/1.1/">
<digiKam:TagsList><rdf:Seq><rdf:li>Places/Rome</rdf:li></rdf:Seq></digiKam:TagsList>
<d:subject><rdf:Bag><rdf:li>Rome</rdf:li></rdf:Bag></d:subject>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


NEW = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:subject><rdf:Bag></rdf:Bag></dc:subject>
</rdf:Description></rdf:RDF></x:xmpmeta>"""


def read_keywords(photo: Path) -> tuple[str, ...]:
    """Return the keywords in a photo's sidecar, as an index run reads them."""
    path = sidecar_path(photo)
    return tuple(read_xmp(path.read_bytes()).all("dc:subject")) if path.exists() else ()


def add_keywords(photo: Path, keywords: Iterable[str]) -> None:
    """Add keywords to a photo's sidecar, as another program does."""
    path = sidecar_path(photo)
    items = "".join(f"<rdf:li>{escape(keyword)}</rdf:li>" for keyword in keywords)
    text = path.read_text(encoding="utf-8") if path.exists() else NEW
    path.write_text(text.replace("</rdf:Bag>", f"{items}</rdf:Bag>", 1), encoding="utf-8")


def remove_keyword(photo: Path, keyword: str) -> None:
    """Remove a keyword from a photo's sidecar, as another program does."""
    path = sidecar_path(photo)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(f"<rdf:li>{escape(keyword)}</rdf:li>", "", 1), encoding="utf-8")


def without_record(text: str) -> str:
    """Return a sidecar without the record of which head wrote which keyword."""
    return re.sub(r"\n   <vitsearch:Keywords.*?</vitsearch:Keywords>\n  ", "", text, flags=re.S)
