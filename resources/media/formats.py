"""Which format some bytes are in, judged by how they begin and never by a file name. Nothing is decoded here."""

SNIFFED = 256
"""Bytes at the beginning of a file that `sniff` looks at."""
_MAGIC: tuple[tuple[int, bytes, str | None, str], ...] = (
    (0, b"\xff\xd8\xff", "image", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image", "image/png"),
    (0, b"GIF8", "image", "image/gif"),
    (8, b"WEBP", "image", "image/webp"),
    (4, b"ftypavif", "image", "image/avif"),
    (4, b"ftypavis", "image", "image/avif"),
    (4, b"ftyphei", None, "image/heic"),
    (4, b"ftypmif1", None, "image/heic"),
    (0, b"II*\0", "image", "image/tiff"),
    (0, b"MM\0*", "image", "image/tiff"),
    (0, b"BM", "image", "image/bmp"),
    (8, b"WAVE", "audio", "audio/wav"),
    (0, b"fLaC", "audio", "audio/flac"),
    (0, b"OggS", "audio", "audio/ogg"),
    (0, b"ID3", "audio", "audio/mpeg"),
    (8, b"AIFF", "audio", "audio/aiff"),
    (0, b"#!AMR", "audio", "audio/amr"),
    (4, b"ftypM4A", "audio", "audio/mp4"),
    (4, b"ftyp", "video", "video/mp4"),
    (4, b"moov", "video", "video/quicktime"),
    (4, b"mdat", "video", "video/quicktime"),
    (0, b"\x1a\x45\xdf\xa3", "video", "video/webm"),
    (8, b"AVI ", "video", "video/x-msvideo"),
    (0, b"FLV\x01", "video", "video/x-flv"),
    (0, b"\x00\x00\x01\xba", "video", "video/mpeg"),
    (0, b"\x30\x26\xb2\x75", "video", "video/x-ms-wmv"),
)


def sniff(head: bytes) -> tuple[str | None, str]:
    """What some bytes are, judged by how they begin: (image, audio, video or None, media type).

    A film without a picture is told from sound only by `prepare`.
    """
    for at, magic, kind, media_type in _MAGIC:
        if head[at : at + len(magic)] == magic:
            return kind, media_type
    if len(head) > 188 and head[0] == head[188] == 0x47:
        return "video", "video/mp2t"
    if len(head) > 1 and head[0] == 0xFF and 0xE0 <= head[1] < 0xFE:  # a bare MPEG sound frame; ADTS has layer 0
        return "audio", "audio/aac" if head[1] & 0x06 == 0 else "audio/mpeg"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return None, "text/html"
    printable = text and not any(byte < 9 or 13 < byte < 27 for byte in head)
    return None, "text/plain" if printable else "application/octet-stream"
