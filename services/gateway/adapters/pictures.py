"""Which of a post's pictures is kept as evidence. Pictures are known by their first bytes and never decoded.

Pictures of faces, drivers and persons close up are passed over by the name that the camera gives them
(refusal 1).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from alerthub.domain.device_events import MAXIMUM_PICTURE_BYTES, kept_picture
from services.gateway.adapters.multipart import Part

_NEVER_KEPT = ("face", "pilot", "driver", "human", "person", "feature")
"""Pictures whose name holds one of these show a body's parts up close, and are passed over."""
_PREFERRED = ("detection", "scene", "vehicle", "plate")
"""The picture that shows most of the place comes first."""
_MAXIMUM_BASE64 = (MAXIMUM_PICTURE_BYTES + 2) // 3 * 4


def chosen(pictures: Sequence[Part]) -> bytes:
    """The picture to keep; nothing where none is whole, of a known form and of the vehicle."""
    allowed = [
        part
        for part in pictures
        if part.complete and not any(word in name for word in _NEVER_KEPT for name in part.names)
    ]
    for word in (*_PREFERRED, ""):
        for part in allowed:
            if (word == "" or any(word in name for name in part.names)) and (
                kept := kept_picture(part.content)
            ):
                return kept
    return b""


def from_base64(value: str) -> bytes:
    """The picture in a text, if it may be kept; else nothing. An over-long text is not even decoded."""
    if not value or len(value) > _MAXIMUM_BASE64:
        return b""
    try:
        return kept_picture(base64.b64decode(value, validate=True))
    except (binascii.Error, ValueError):
        return b""
