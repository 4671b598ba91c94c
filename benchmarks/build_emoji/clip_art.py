"""Public-domain clip art: drawings that are no emoji, so that the image projection is not fitted on emoji alone."""

import hashlib
import html
import re
import struct

import numpy as np
from encoders import square

PUBLIC_DOMAIN = (
    "http://web.resource.org/cc/PublicDomain",
    "http://creativecommons.org/licenses/publicdomain/",
)


def clean(text):
    text = html.unescape(html.unescape(text))
    return re.sub(r"\s+", " ", re.sub(r"[_\-]+", " ", text)).strip()


def title_and_keywords(svg):
    """What an SVG's metadata says of it, or None unless it is in the public domain."""
    metadata = re.search(r"<metadata.*?</metadata>", svg.read_text(errors="replace"), re.DOTALL)
    metadata = metadata.group(0) if metadata else ""
    license_ = re.search(r'<cc:license rdf:resource="([^"]*)"', metadata)
    if not license_ or license_.group(1) not in PUBLIC_DOMAIN:
        return None
    title = re.search(r"<dc:title[^>]*>([^<]*)</dc:title>", metadata)
    title = re.sub(r"\b\d+\b|\(.*?\)", " ", clean(title.group(1) if title else ""))
    subject = re.search(r"<dc:subject>(.*?)</dc:subject>", metadata, re.DOTALL)
    words = re.findall(r"<rdf:li>([^<]*)</rdf:li>", subject.group(1)) if subject else []
    keywords = {clean(word).lower() for word in words}
    return re.sub(r"\s+", " ", title).strip(), {word for word in keywords if len(word) > 1 and "hash(" not in word}


def usable_size(png):
    """Neither absurdly large nor a sliver, by the PNG header."""
    with png.open("rb") as file:
        width, height = struct.unpack(">II", file.read(24)[16:24])
    return max(width, height) <= 3000 and min(width, height) >= 24


def drawings(root):
    """Paths of the titled, tagged drawings under root/png, each title and each picture once."""
    chosen, titles, pictures = [], set(), set()
    for svg in sorted((root / "svg").rglob("*.svg"), key=str):
        name = svg.relative_to(root / "svg").with_suffix("")
        png = root / "png" / name.parent / f"{name.name}.png"
        if not png.exists() or name.parts[0] == "special" or "duplicates" in str(name):
            continue
        said = title_and_keywords(svg)
        if said is None:
            continue
        title, keywords = said
        if not re.search(r"[a-zA-Z]{3}", title) or len(keywords) < 2 or title.lower() in titles or not usable_size(png):
            continue
        picture = hashlib.md5(np.asarray(square(png, 32)).tobytes()).hexdigest()
        if picture in pictures:
            continue
        titles.add(title.lower())
        pictures.add(picture)
        chosen.append(png)
    return chosen
