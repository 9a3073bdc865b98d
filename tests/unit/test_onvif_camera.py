"""The client at a camera's pull point, over a real socket."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import pytest
from onvif_device import PASSWORD, Answer, OnvifDevice, crossed, envelope, fault

from alerthub.domain.errors import NotAllowed, Refuse, Retry
from alerthub.edge import onvif_soap as soap
from alerthub.edge.onvif_camera import (
    MAXIMUM_ANSWER_BYTES,
    CameraAuthentication,
    CameraSettings,
    PullPoint,
    path_of,
)


@pytest.fixture
def device() -> Iterator[OnvifDevice]:
    running = OnvifDevice().start()
    yield running
    running.stop()


def client_of(device: OnvifDevice, *, password: str = PASSWORD) -> PullPoint:
    way = CameraAuthentication(device.authentication)
    return PullPoint(CameraSettings(device.origin, "hub", password, way, pull_seconds=2))


@pytest.mark.parametrize("by_reference", [False, True])
@pytest.mark.parametrize("authentication", ["digest", "ws-security"])
async def test_what_a_camera_tells_is_pulled_once(
    device: OnvifDevice, authentication: str, by_reference: bool
) -> None:
    device.authentication, device.by_reference = authentication, by_reference
    async with client_of(device) as client:
        made = await client.subscribe()
        device.tell(crossed(1), crossed(2), crossed(3))
        pulls = [await client.pull(made.address, seconds=1, limit=2) for _ in range(2)]
        assert [len(each.messages) for each in pulls] == [2, 1]
        assert await client.renew(made.address) == 60
        await client.unsubscribe(made.address)
    assert device.subscriptions == 0


async def test_a_pull_without_news_ends_after_its_time(device: OnvifDevice) -> None:
    async with client_of(device) as client:
        made = await client.subscribe()
        device.tell(crossed(1))
        pulls = [await client.pull(made.address, seconds=1, limit=2) for _ in range(2)]
    assert [len(each.messages) for each in pulls] == [1, 0]


async def test_a_camera_with_a_wrong_clock_is_signed_in_to_by_its_own_time() -> None:
    device = OnvifDevice(authentication="ws-security", clock_ahead=-86_400).start()
    try:
        async with client_of(device) as client:
            await client.subscribe()
        assert device.subscriptions == 1
    finally:
        device.stop()


@pytest.mark.parametrize("authentication", ["digest", "ws-security"])
async def test_a_wrong_password_is_named_as_such(device: OnvifDevice, authentication: str) -> None:
    device.authentication = authentication
    async with client_of(device, password=f"not {PASSWORD}") as client:
        with pytest.raises(NotAllowed):
            await client.subscribe()


async def test_an_older_camera_is_asked_for_its_capabilities(device: OnvifDevice) -> None:
    device.instead["GetServices"] = lambda: Answer(fault("ActionNotSupported"), 500)
    async with client_of(device) as client:
        await client.subscribe()
    assert device.subscriptions == 1


async def test_a_subscription_that_the_camera_forgot_is_known_as_ended(device: OnvifDevice) -> None:
    async with client_of(device) as client:
        made = await client.subscribe()
        device.stop()
        device.start()
        with pytest.raises(soap.SubscriptionEnded):
            await client.pull(made.address, seconds=1, limit=1)


async def test_s4_no_address_of_another_host_is_ever_connected_to(device: OnvifDevice) -> None:
    other = OnvifDevice().start()
    try:
        device.named_host = f"127.0.0.1:{other.port}"
        async with client_of(device) as client:
            with pytest.raises(Refuse):
                await client.subscribe()
        device.instead["GetServices"] = lambda: Answer(
            envelope(
                "<tds:GetServicesResponse><tds:Service>"
                "<tds:Namespace>http://www.onvif.org/ver10/events/wsdl</tds:Namespace>"
                f"<tds:XAddr>{device.origin}/onvif/events</tds:XAddr></tds:Service></tds:GetServicesResponse>"
            )
        )
        async with client_of(device) as client:
            with pytest.raises(Refuse):
                await client.subscribe()
        assert "CreatePullPointSubscription" in device.asked
        assert other.asked == []
    finally:
        other.stop()


async def test_a_redirection_is_not_followed(device: OnvifDevice) -> None:
    other = OnvifDevice().start()
    try:
        device.instead["GetServices"] = lambda: Answer(b"", 307, {"location": f"{other.origin}/onvif/events"})
        async with client_of(device) as client:
            with pytest.raises(Retry):
                await client.subscribe()
        assert other.asked == []
    finally:
        other.stop()


@pytest.mark.parametrize(
    "answer",
    [
        Answer(envelope("<tev:X>" + "x" * MAXIMUM_ANSWER_BYTES + "</tev:X>")),
        Answer(gzip.compress(envelope("<tev:X/>")), 200, {"content-encoding": "gzip"}),
        Answer(b"x" * (MAXIMUM_ANSWER_BYTES + 1), 401, {"www-authenticate": 'Digest realm="r", nonce="n"'}),
    ],
    ids=["too long", "packed", "too long before signing in"],
)
async def test_an_answer_that_is_too_long_or_packed_is_not_read(device: OnvifDevice, answer: Answer) -> None:
    device.instead["GetServices"] = lambda: answer
    async with client_of(device) as client:
        with pytest.raises(Retry):
            await client.subscribe()


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("http://camera.city.example/onvif/a?b=1", "/onvif/a?b=1"),
        ("http://CAMERA.city.example:80/", "/"),
        ("http://10.1.2.3/by/its/address", "/by/its/address"),
    ],
)
def test_an_address_of_the_cameras_own_is_its_path(address: str, path: str) -> None:
    assert path_of(address, origin="http://camera.city.example", peer="10.1.2.3") == path


@pytest.mark.parametrize(
    "address",
    [
        "http://10.1.2.4/",
        "http://camera.city.example:8080/",
        "http://camera.city.example.elsewhere/",
        "http://user@camera.city.example/",
        "http://camera.city.example@10.9.9.9/",
        "file:///etc/passwd",
        "ftp://camera.city.example/",
        "//camera.city.example/",
        "/onvif/a",
        "",
        "http://[::1",
    ],
)
def test_s4_an_address_that_is_not_the_cameras_own_is_refused(address: str) -> None:
    with pytest.raises(Refuse):
        path_of(address, origin="http://camera.city.example", peer="10.1.2.3")
