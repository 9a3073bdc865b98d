"""Settings of the console. Times in seconds or minutes as their names say."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from alerthub.settings import ServiceSettings


class ConsoleSettings(ServiceSettings):
    """Beside what every service has."""

    service: str = "console"
    http_port: int = 0
    """HTTPS, for browsers. 0: any free port."""
    public_origin: str = Field(default="", max_length=200)
    """What browsers have in their address bar, such as https://hub.example, where a proxy is in front and
    changes the Host. Empty: https and the Host of the request."""
    web_folder: Path = Path(__file__).parent / "web" / "dist"
    """The built page."""
    session_hours: float = Field(default=12, gt=0, le=24)
    """A night's duty; then everybody signs in anew."""
    idle_minutes: float = Field(default=30, gt=0, le=240)
    """A desk that nobody has touched for this long may be anybody's."""
    maximum_sessions: int = Field(default=2_000, ge=1, le=100_000)
    maximum_body_bytes: int = Field(default=64 * 1024, ge=1_024, le=1_048_576)
    """The longest command is a reason of 500 characters."""
    maximum_connections: int = Field(default=1_000, ge=8, le=100_000)
    """Each tab holds one for its feed, and a few while it loads."""
    heartbeat_seconds: float = Field(default=5.0, ge=0.2, le=10)
    """A page distrusts its feed after twelve seconds without one."""
    feed_queue_events: int = Field(default=256, ge=4, le=10_000)
    """What a slow tab may lag behind before it is cut off and resumes."""
    feeds_per_session: int = Field(default=8, ge=1, le=100)
    call_timeout_seconds: float = Field(default=5.0, gt=0, le=30)
    """How long one call to another service may take before the page is told to try again."""
    picture_seconds: float = Field(default=120, gt=0, le=900)
    """How long an opened picture can be fetched by the session that opened it."""
    picture_bound_bytes: int = Field(default=64 * 1024 * 1024, ge=1_048_576)
    """Of all opened pictures together; the oldest give way."""
    watch_seconds: float = Field(default=10.0, ge=2, le=120)
    """A partition whose observations have not been evaluated for this long is not watched."""
    canary_seconds: float = Field(default=90.0, ge=2, le=900)
    """Where a canary is set up, one must have reached its terminal within this time: three are sent."""
    map_seconds: float = Field(default=15.0, ge=0, le=300)
    """How old the devices and zones of the map may be: 21,100 devices are 22 calls."""
