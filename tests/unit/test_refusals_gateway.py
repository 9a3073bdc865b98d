"""What the gateway leaves out and counts: refusals 1 and 4 at its edge."""

from __future__ import annotations

import ast
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_parts import PARTITIONS, START_MS, device_record, gateway, read
from prometheus_client import REGISTRY

import services.gateway as gateway_package
from alerthub.api.v1 import registry_pb2
from alerthub.domain.admission import AuthenticationClass
from alerthub.domain.errors import Refuse
from services.gateway.adapters import TooLarge, xml
from services.gateway.devices import DeviceDirectory
from services.gateway.http_body import expanded

PASSWORD = AuthenticationClass.PASSWORD_OVER_TLS


def _dropped(adapter: str) -> float:
    value = REGISTRY.get_sample_value("alerthub_gateway_identifiers_dropped_total", {"adapter": adapter})
    return value or 0.0


def test_refusal_1_a_text_as_long_as_feature_data_is_passed_over() -> None:
    # given a camera that sends a face's features as text, as long as such data is
    features = "A" * (xml.MAXIMUM_TEXT + 1)

    # when its XML is read
    _, values = xml.read(f"<Event><faceFeature>{features}</faceFeature><plate>A1</plate></Event>")

    # then nothing of them is there, and what is short is
    assert values == {"plate": "A1"}


def test_refusal_4_an_authorisation_for_other_devices_gives_this_one_none() -> None:
    # given a device whose record carries an authorisation that names another device
    record = registry_pb2.Device.FromString(device_record("camera-1"))
    record.authorisations[0].device_ids[:] = ["camera-2"]
    directory = DeviceDirectory(PARTITIONS)

    # when the gateway takes the record in
    directory.apply("camera-1", record.SerializeToString())

    # then the device may check nothing
    assert directory.in_force("camera-1", START_MS).authorisations == ()


async def test_refusal_4_identifiers_that_are_dropped_are_counted(tmp_path: Path) -> None:
    one = await gateway(tmp_path)
    one.register(version=2, authorised=False)
    before = _dropped("cloudevents")

    await one.intake.accept("camera-1", PASSWORD, "cloudevents", [read()])

    assert _dropped("cloudevents") == before + 1


@pytest.mark.parametrize(
    "declaration",
    [
        "<!DOCTYPE a>",
        '<!DOCTYPE a SYSTEM "http://127.0.0.1:1/a.dtd">',
        '<!DOCTYPE a [<!ENTITY e "x">]>',
        '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]>',
    ],
    ids=["document type", "external document type", "entity", "external entity"],
)
def test_s4_xml_with_a_document_type_or_an_entity_is_refused(declaration: str) -> None:
    with pytest.raises(Refuse, match="without a document type"):
        xml.read(f"{declaration}<a>x</a>")


def test_s4_a_body_that_expands_without_end_is_never_expanded_whole() -> None:
    # given 32 MiB that a device sends as 32 KiB
    body = zlib.compress(bytes(32 * 1024 * 1024), level=9)

    # when it is read with room for a MiB
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            expanded(body, "deflate", maximum_bytes=1024 * 1024)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    # then no more of it was ever in memory than the bound and what zlib needs
    assert peak_bytes < 8 * 1024 * 1024


def test_s4_nothing_in_the_gateway_can_fetch_an_address() -> None:
    """What the gateway's modules bring with them: no client of HTTP, FTP or files by address.

    httpx, urllib.request and their like would make a payload's address something to fetch.
    """
    clients = {"httpx", "requests", "aiohttp", "urllib3", "ftplib", "smtplib", "telnetlib", "http.client"}
    source = Path(gateway_package.__path__[0])
    imported = {
        name
        for path in source.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in _imports(node)
    }
    assert imported & (clients | {"urllib.request", "urllib"}) == set()
    assert "urllib.parse" in imported, "the search finds what is imported"


def _imports(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (name.name for name in node.names)
    if isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
        yield from (f"{node.module}.{name.name}" for name in node.names if node.module == "urllib")


def test_s4_xml_of_more_elements_than_any_camera_writes_is_refused() -> None:
    many = "<a/>" * xml.MAXIMUM_ELEMENTS
    with pytest.raises(Refuse, match="elements"):
        xml.read(f"<root>{many}</root>")
