import { describe, expect, test } from 'vitest'

import type { MapDevice, MapUnit } from '../src/api/types'
import { alertFeatures, districtLabels, unitFeatures, wayFeatures } from '../src/map/features'
import { boundsOf, districts, grid, hull } from '../src/map/geometry'
import { summary } from './sample'

function device(id: string, district: string, longitude: number): MapDevice {
  return {
    device_id: id,
    name: '',
    state: 'active',
    watched: true,
    district,
    jurisdiction: 'north',
    position: { latitude: 39.5, longitude },
    authentication_class: 'certificate',
  }
}

const unit: MapUnit = {
  unit_id: 'patrol-1',
  unit_kind: 'patrol',
  position: { latitude: 39.4, longitude: 116.6 },
  position_age_ms: 1,
  on_shift: true,
  alerts_in_hand: 0,
  reachable: true,
}

describe('the map', () => {
  test('the hull of a square with a point inside is the square', () => {
    expect(hull([[0, 0], [1, 1], [0.5, 0.4], [1, 0], [0, 1]])).toEqual([[0, 0], [1, 0], [1, 1], [0, 1]])
  })

  test('a district is a closed area around its devices, even around one', () => {
    const found = districts([device('c1', 'station', 116.7), device('c2', 'market', 116.8)], new Set(['market']))
    expect(found.features.map((each) => each.properties)).toEqual([
      { district: 'station', silent: false },
      { district: 'market', silent: true },
    ])
    const ring = found.features[0]?.geometry.coordinates[0] ?? []
    expect(ring.length).toBeGreaterThan(3)
    expect(ring[0]).toEqual(ring[ring.length - 1])
    const labels = districtLabels(found).features
    expect(labels.map((each) => each.properties?.name)).toEqual(['station', 'market'])
    expect(labels[0]?.geometry.coordinates[1]).toBe(Math.max(...ring.map((each) => each[1] ?? 0)))
  })

  test('bounds of 21,100 places fit the stack, and the grid covers them', () => {
    const places = Array.from({ length: 21_100 }, (_, index) => ({ latitude: 39 + index / 1e5, longitude: 116 }))
    const bounds = boundsOf(places)
    expect(bounds?.north).toBeCloseTo(39.21099)
    const lines = bounds === null ? [] : grid(bounds).features
    expect(lines.length).toBeGreaterThan(10)
    expect(lines.length).toBeLessThan(400)
    expect(boundsOf([])).toBeNull()
  })

  test('open alerts are on it with the shape of their kind, ended ones only while their card is open', () => {
    const alerts = new Map([
      ['p', summary({ alert_id: 'p', names_person: true })],
      ['e', summary({ alert_id: 'e', open: false, status: 'closed' })],
      ['n', summary({ alert_id: 'n', position: null })],
    ])
    expect(alertFeatures(alerts, null).features.map((each) => each.properties?.image)).toEqual(['alert-person'])
    expect(alertFeatures(alerts, 'e').features).toHaveLength(2)
  })

  test('a unit without a fresh position is drawn at its station, and says so', () => {
    const images = unitFeatures([unit, { ...unit, position_age_ms: null }, { ...unit, on_shift: false }]).features
    expect(images.map((each) => each.properties?.image)).toEqual(['unit-free', 'unit-station'])
  })

  test('a way leads from the unit to the open alert that it has', () => {
    expect(wayFeatures(summary({ unit_id: 'patrol-1', status: 'accepted' }), [unit]).features).toHaveLength(1)
    expect(wayFeatures(summary({ unit_id: 'patrol-1', open: false }), [unit]).features).toHaveLength(0)
    expect(wayFeatures(summary(), [unit]).features).toHaveLength(0)
  })
})
