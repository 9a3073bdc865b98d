import { type GeoJSONSource, type LngLatBoundsLike, Map as MapLibre, type MapLayerMouseEvent, ScaleControl, setWorkerUrl } from 'maplibre-gl'
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?url'
import { type JSX, useEffect, useMemo, useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'

import { useFeed } from '../feed/store'
import { localized } from '../i18n'
import { age } from '../look/time'
import { alertFeatures, deviceFeatures, districtLabels, unitFeatures, wayFeatures, zoneLabels } from './features'
import { useMapFocus } from './focus'
import { boundsOf, districts, grid } from './geometry'
import { addImages } from './images'
import { NIGHT_STYLE, type SourceName } from './style'
import type { MapUnit, MapView } from './types'

setWorkerUrl(workerUrl)

const CLOSE_ZOOM = 14.5
const NOBODY_SILENT: readonly string[] = []

interface Props {
  view: MapView | undefined
  units: readonly MapUnit[]
}

export function NightMap({ view, units }: Props): JSX.Element {
  const { t, i18n } = useTranslation()
  const box = useRef<HTMLDivElement>(null)
  const [map, setMap] = useState<MapLibre | null>(null)
  const [failure, setFailure] = useState('')
  const [pointed, setPointed] = useState<{ kind: 'device' | 'unit'; id: string } | null>(null)
  const alerts = useFeed((state) => state.alerts)
  const opened = useFeed((state) => state.opened)
  const silent = useFeed((state) => state.watch?.silent_districts ?? NOBODY_SILENT)
  const title = t('map.title')

  useEffect(() => {
    if (box.current === null) return undefined
    let made: MapLibre
    try {
      made = new MapLibre({
        container: box.current,
        style: NIGHT_STYLE,
        attributionControl: false,
        localIdeographFontFamily: "'Noto Sans CJK SC', 'Noto Sans SC', 'PingFang SC', 'Microsoft YaHei', sans-serif",
        locale: { 'Map.Title': title },
        center: [116.7, 39.5],
        zoom: 10,
        maxZoom: 18,
        dragRotate: false,
        pitchWithRotate: false,
        fadeDuration: 0,
      })
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error))
      return undefined
    }
    made.touchZoomRotate.disableRotation()
    made.addControl(new ScaleControl({ unit: 'metric' }), 'bottom-right')
    made.once('load', () => {
      addImages(made)
      setMap(made)
    })
    made.on('click', 'alerts', (event: MapLayerMouseEvent) => {
      const id: unknown = event.features?.[0]?.properties.id
      if (typeof id === 'string') useFeed.getState().open(id)
    })
    for (const [layer, kind] of [['devices', 'device'], ['units', 'unit']] as const) {
      made.on('mousemove', layer, (event: MapLayerMouseEvent) => {
        const id: unknown = event.features?.[0]?.properties.id
        if (typeof id === 'string') setPointed({ kind, id })
      })
      made.on('mouseleave', layer, () => setPointed(null))
    }
    return () => {
      setMap(null)
      made.remove()
    }
    // The title is the map's for its life.
    // oxlint-disable-next-line exhaustive-deps
  }, [])

  const bounds = useMemo(
    () =>
      view === undefined
        ? null
        : boundsOf([...view.devices.map((each) => each.position), ...view.units.map((each) => each.position)]),
    [view],
  )

  useEffect(() => {
    if (map === null || view === undefined) return
    put(map, 'devices', deviceFeatures(view.devices))
    const areas = districts(view.devices, new Set(silent))
    put(map, 'districts', areas)
    put(map, 'district-labels', districtLabels(areas))
    put(map, 'zones', view.zones as GeoJSON.FeatureCollection)
    put(map, 'zone-labels', zoneLabels(view.zones, localized))
    if (bounds !== null) put(map, 'grid', grid(bounds))
  }, [map, view, bounds, silent, i18n.language])

  useEffect(() => {
    if (map !== null) put(map, 'units', unitFeatures(units))
  }, [map, units])

  useEffect(() => {
    if (map === null) return
    put(map, 'alerts', alertFeatures(alerts, opened))
    put(map, 'way', wayFeatures(opened === null ? undefined : alerts.get(opened), units))
  }, [map, alerts, opened, units])

  // First the whole city; then what is opened, or what the operator asks for.
  const hasBounds = bounds !== null
  const newest = useRef(bounds)
  newest.current = bounds
  const asked = useMapFocus((state) => state.asked)
  useEffect(() => {
    if (map === null || newest.current === null) return
    const { west, south, east, north } = newest.current
    const whole: LngLatBoundsLike = [[west, south], [east, north]]
    map.fitBounds(whole, { padding: 60, maxZoom: CLOSE_ZOOM, animate: false })
  }, [map, hasBounds])
  useEffect(() => {
    if (map === null || asked === 0) return
    const { alertId } = useMapFocus.getState()
    const place = alertId === null ? null : useFeed.getState().alerts.get(alertId)?.position
    if (place) map.jumpTo({ center: [place.longitude, place.latitude], zoom: CLOSE_ZOOM })
    else if (newest.current !== null) {
      const { west, south, east, north } = newest.current
      map.fitBounds([[west, south], [east, north]], { padding: 60, maxZoom: CLOSE_ZOOM, animate: false })
    }
  }, [map, asked])
  useEffect(() => {
    if (map === null || opened === null) return
    const place = useFeed.getState().alerts.get(opened)?.position
    if (place) map.jumpTo({ center: [place.longitude, place.latitude], zoom: Math.max(map.getZoom(), 13) })
  }, [map, opened])

  return (
    <div className="map-frame">
      {failure && <p className="note note-bad" role="alert">{t('map.failed', { detail: failure })}</p>}
      <div ref={box} className="map-canvas" />
      <p className="map-pointed" aria-live="off">{pointed && describe(pointed)}</p>
    </div>
  )

  function describe(at: { kind: 'device' | 'unit'; id: string }): string {
    if (at.kind === 'device') {
      const device = view?.devices.find((each) => each.device_id === at.id)
      if (device === undefined) return at.id
      const state = device.state === 'suspended' ? t('map.suspended') : device.watched ? '' : t('map.notWatched')
      return [device.name || device.device_id, device.device_id, device.district, state].filter(Boolean).join(' · ')
    }
    const unit = units.find((each) => each.unit_id === at.id)
    if (unit === undefined) return at.id
    const position = unit.position_age_ms === null ? t('map.station') : t('map.position', { age: age(unit.position_age_ms) })
    const hand = unit.alerts_in_hand > 0 ? t('dispatch.hand', { count: unit.alerts_in_hand }) : t('dispatch.free')
    return [unit.unit_id, position, hand, unit.reachable ? '' : t('dispatch.unreachable')].filter(Boolean).join(' · ')
  }
}

function put(map: MapLibre, name: SourceName, data: GeoJSON.GeoJSON): void {
  map.getSource<GeoJSONSource>(name)?.setData(data)
}
