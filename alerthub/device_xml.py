"""XML of devices: without DTD, entities or processing of anything but elements.

expat is driven directly: defusedxml refuses the same, but costs three times as much a document. Names keep
their prefixes, so that a long namespace is not copied once for each name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn, Protocol
from xml.parsers import expat

from alerthub.domain.errors import Refuse


class Handler(Protocol):
    """Takes the parts of a document in their order."""

    def start(self, name: str, attributes: Mapping[str, str]) -> None: ...

    def text(self, data: str) -> None: ...

    def end(self, name: str) -> None: ...


def feed(document: str, handler: Handler) -> None:
    """Hands the document's parts to the handler, which bounds their number and depth. Refuses what is not
    well-formed or declares anything."""
    try:
        content = document.encode("utf-8")
    except UnicodeEncodeError:
        raise Refuse("body", "text without lone surrogates") from None
    parse(parser_for(handler), content)


def parser_for(handler: Handler) -> expat.XMLParserType:
    """A parser for one document in UTF-8, for a handler that wants to know where in it it is
    (`CurrentByteIndex`)."""
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartElementHandler = handler.start
    parser.EndElementHandler = handler.end
    parser.CharacterDataHandler = handler.text
    parser.StartDoctypeDeclHandler = _refuse_declarations
    parser.EntityDeclHandler = _refuse_declarations
    parser.UnparsedEntityDeclHandler = _refuse_declarations
    parser.ExternalEntityRefHandler = _refuse_declarations
    return parser


def parse(parser: expat.XMLParserType, content: bytes) -> None:
    """Refuses what is not well-formed or declares anything."""
    try:
        parser.Parse(content, True)
    except expat.ExpatError:
        raise Refuse("body", "well-formed XML") from None


def _refuse_declarations(*_: object) -> NoReturn:
    raise Refuse("body", "XML without a document type, entities or declarations of them")
