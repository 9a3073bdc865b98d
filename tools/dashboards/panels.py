"""A panel as this project writes it, and how it becomes Grafana's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphTresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import Dashboard as BuiltDashboard
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
)

_SOURCE = DataSourceRef(type_val="prometheus", uid="prometheus")
_WIDE, _NARROW = 12, 4


@dataclass(frozen=True, slots=True)
class Query:
    """One query. `legend` is in Grafana's form: {{label}}."""

    expression: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Curve:
    """How something went. `unit` is Grafana's; `limit` is drawn where an objective or a bound is."""

    title: str
    unit: str
    queries: tuple[Query, ...]
    description: str = ""
    limit: float | None = None

    def built(self) -> timeseries.Panel:
        legend = (
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
        )
        panel = (
            timeseries.Panel()
            .title(self.title)
            .description(self.description)
            .datasource(_SOURCE)
            .unit(self.unit)
            .min(0)
            .fill_opacity(8)
            .legend(legend)
            .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
            .span(_WIDE)
            .height(8)
        )
        if self.limit is not None:
            panel = panel.thresholds(_above(self.limit)).thresholds_style(
                common.GraphThresholdsStyleConfig().mode(GraphTresholdsStyleMode.DASHED)
            )
        for query, letter in zip(self.queries, "ABCDEFGH", strict=False):
            panel = panel.with_target(_target(query, letter))
        return panel


@dataclass(frozen=True, slots=True)
class Number:
    """How something is now. From `bad` on it is red; where `bad` is lower than `good`, below it."""

    title: str
    unit: str
    query: str
    bad: float | None = None
    low_is_bad: bool = False
    description: str = ""

    def built(self) -> stat.Panel:
        panel = (
            stat.Panel()
            .title(self.title)
            .description(self.description)
            .datasource(_SOURCE)
            .unit(self.unit)
            .color_mode(BigValueColorMode.VALUE)
            .graph_mode(BigValueGraphMode.NONE)
            .span(_NARROW)
            .height(4)
            .with_target(_target(Query(self.query), "A"))
        )
        if self.bad is not None:
            panel = panel.thresholds(_below(self.bad) if self.low_is_bad else _above(self.bad))
        return panel


Panel = Curve | Number


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """One dashboard."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]

    def built(self) -> BuiltDashboard:
        made = (
            dashboard.Dashboard(f"Alert Hub: {self.title}")
            .uid(f"alerthub-{self.uid}")
            .description(self.description)
            .tags(["alerthub"])
            .time("now-1h", "now")
            .refresh("15s")
            .timezone("browser")
            .readonly()
            .link(
                dashboard.DashboardLink("Alert Hub")
                .type(DashboardLinkType.DASHBOARDS)
                .tags(["alerthub"])
                .as_dropdown(True)
                .keep_time(True)
            )
        )
        for row in self.rows:
            made = made.with_row(dashboard.Row(row.title))
            for panel in row.panels:
                made = made.with_panel(panel.built())
        return made.build()


def _target(query: Query, letter: str) -> prometheus.Dataquery:
    return (
        prometheus.Dataquery()
        .datasource(_SOURCE)
        .expr(query.expression)
        .legend_format(query.legend or "__auto")
        .ref_id(letter)
    )


def _above(limit: float) -> dashboard.ThresholdsConfig:
    return _steps([Threshold(value=None, color="green"), Threshold(value=limit, color="red")])


def _below(limit: float) -> dashboard.ThresholdsConfig:
    return _steps([Threshold(value=None, color="red"), Threshold(value=limit, color="green")])


def _steps(steps: Sequence[Threshold]) -> dashboard.ThresholdsConfig:
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(list(steps))


def rate(counter: str, by: str, where: str = "") -> str:
    """Events a second by a label."""
    return f"sum by ({by}) (rate({counter}{where}[$__rate_interval]))"


def quantiles(histogram: str) -> tuple[Query, ...]:
    """The median and the 99th percentile of a histogram, over all instances."""
    return tuple(
        Query(
            f"histogram_quantile({share}, sum by (le) (rate({histogram}_bucket[$__rate_interval])))",
            f"{percent} of 100 within",
        )
        for share, percent in ((0.5, 50), (0.99, 99))
    )
