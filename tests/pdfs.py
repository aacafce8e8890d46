"""PDF files of a few lines for tests, written by hand so that each part of one can be wrong."""

from collections.abc import Mapping, Sequence
from io import BytesIO


def pdf_of(lines: Sequence[str], title: str = "", meanings: Mapping[str, str] | None = None) -> bytes:
    """A PDF with a page of lines.

    Args:
        title: a PDF object such as "(Io)", or "" for none.
        meanings: what letters stand for in the font, as hexadecimal UTF-16; the others for themselves.
    """
    shown = " ".join(f"({line}) Tj T*" for line in lines)
    content = f"BT /F1 12 Tf 14 TL 20 700 Td {shown} ET"
    letters = "".join(f"<{ord(letter):02x}> <{meaning}> " for letter, meaning in (meanings or {}).items())
    cmap = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def 1 begincodespacerange <00> <FF> "
        f"endcodespacerange {len(meanings or {})} beginbfchar {letters}endbfchar endcmap end end"
    )
    font = "<</Type/Font/Subtype/Type1/BaseFont/Helvetica" + ("/ToUnicode 6 0 R>>" if meanings else ">>")
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        f"<</Length {len(content)}>>stream\n{content}\nendstream",
        font,
        f"<</Length {len(cmap)}>>stream\n{cmap}\nendstream",
        f"<</Title {title}>>" if title else "null",
    ]
    data, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(data))
        data += f"{number} 0 obj{body}endobj\n".encode("latin-1")
    table = "0000000000 65535 f \n" + "".join(f"{place:010} 00000 n \n" for place in places)
    end = f"trailer<</Root 1 0 R/Info 7 0 R/Size {len(objects) + 1}>>\nstartxref\n{len(data)}\n%%EOF"
    return data + f"xref\n0 {len(objects) + 1}\n{table}{end}".encode()


def locked(data: bytes, user: str, owner: str) -> bytes:
    """A PDF, encrypted with AES-256."""
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter(clone_from=PdfReader(BytesIO(data)))
    writer.encrypt(user, owner, algorithm="AES-256")
    out = BytesIO()
    writer.write(out)
    return out.getvalue()
