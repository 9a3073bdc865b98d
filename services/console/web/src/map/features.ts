import type { AlertSummary, LocalizedText } from '../api/types'
import { type Alerts, kindOf } from '../feed/alerts'
import { line } from './geometry'
import type { MapDevice, MapUnit, MapView, Position } from './types'

type Points = GeoJSON.FeatureCollection<GeoJSON.Point>

function points<Item>(
  items: readonly Item[],
  place: (item: Item) => Position,
  properties: (item: Item) => Record<string, string | number | boolean>,
): Points {
  return {
    type: 'FeatureCollection',
    features: items.map((item) => ({
      type: 'Feature',
      properties: properties(item),
      geometry: { type: 'Point', coordinates: [place(item).longitude, place(item).latitude] },
    })),
  }
}

export function deviceFeatures(devices: readonly MapDevice[]): Points {
  return points(
    devices,
    (each) => each.position,
    (each) => ({ id: each.device_id, watched: each.watched && each.state === 'active' }),
  )
}

export function unitFeatures(units: readonly MapUnit[]): Points {
  const shown = units.filter((each) => each.on_shift)
  return points(
    shown,
    (each) => each.position,
    (each) => ({
      id: each.unit_id,
      image: each.position_age_ms === null ? 'unit-station' : each.alerts_in_hand > 0 ? 'unit-busy' : 'unit-free',
    }),
  )
}

/** Open alerts, as the feed has them: the map never lags behind it. */
export function alertFeatures(alerts: Alerts, opened: string | null): Points {
  const placed = [...alerts.values()].filter(
    (each): each is AlertSummary & { position: Position } =>
      each.position !== null && (each.open || each.alert_id === opened),
  )
  return points(
    placed,
    (each) => each.position,
    (each) => ({
      id: each.alert_id,
      image: `alert-${kindOf(each)}`,
      opened: each.alert_id === opened,
      weight: (each.alert_id === opened ? 100 : 0) + (each.names_person ? 10 : 0),
    }),
  )
}

/** From the unit that has it in hand to the alert. */
export function wayFeatures(
  alert: AlertSummary | undefined,
  units: readonly MapUnit[],
): GeoJSON.FeatureCollection<GeoJSON.LineString> {
  const unit = units.find((each) => each.unit_id === alert?.unit_id)
  if (alert?.position == null || unit === undefined || !alert.open) return { type: 'FeatureCollection', features: [] }
  const from: [number, number] = [unit.position.longitude, unit.position.latitude]
  return { type: 'FeatureCollection', features: [line([from, [alert.position.longitude, alert.position.latitude]])] }
}

/** A label above each district. */
export function districtLabels(
  areas: GeoJSON.FeatureCollection<GeoJSON.Polygon, { district: string; silent: boolean }>,
): Points {
  return points(
    areas.features,
    (each) => {
      const ring = each.geometry.coordinates[0] ?? []
      const top = ring.reduce((one, other) => ((other[1] ?? 0) > (one[1] ?? 0) ? other : one), ring[0] ?? [0, 0])
      return { longitude: top[0] ?? 0, latitude: top[1] ?? 0 }
    },
    (each) => ({ name: each.properties.district, silent: each.properties.silent }),
  )
}

/** A label for each zone, once: labels of polygons would repeat. */
export function zoneLabels(zones: MapView['zones'], inWords: (text: LocalizedText) => string): Points {
  return points(
    zones.features,
    (zone) => {
      const ring = zone.geometry.coordinates[0] ?? []
      const corners = ring.slice(0, -1) as [number, number][]
      const count = Math.max(1, corners.length)
      return {
        longitude: corners.reduce((sum, each) => sum + each[0], 0) / count,
        latitude: corners.reduce((sum, each) => sum + each[1], 0) / count,
      }
    },
    (zone) => ({ name: inWords(zone.properties.name), kind: zone.properties.kind }),
  )
}
