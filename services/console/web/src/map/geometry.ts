import type { MapDevice, Position } from './types'

type Point = readonly [number, number]
export interface Bounds {
  west: number
  south: number
  east: number
  north: number
}

const METRES_A_DEGREE = 111_195
/** Around the outermost devices of a district. */
const MARGIN_METRES = 350
const CORNERS = 12
const GRID_LINES = 14
const STEPS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5]

export function boundsOf(places: readonly Position[]): Bounds | null {
  if (places.length === 0) return null
  const longitudes = places.map((each) => each.longitude)
  const latitudes = places.map((each) => each.latitude)
  return {
    west: least(longitudes),
    south: least(latitudes),
    east: -least(longitudes.map((each) => -each)),
    north: -least(latitudes.map((each) => -each)),
  }
}

// Spreading 21,100 places into Math.min would fill the stack.
function least(values: readonly number[]): number {
  return values.reduce((one, other) => (other < one ? other : one), Number.POSITIVE_INFINITY)
}

/** Lines of latitude and longitude at round degrees, some way beyond the city: a scale without any tile. */
export function grid(bounds: Bounds): GeoJSON.FeatureCollection<GeoJSON.LineString> {
  const size = Math.max(bounds.east - bounds.west, bounds.north - bounds.south, 0.01)
  const step = STEPS.find((each) => each >= size / GRID_LINES) ?? 5
  const reach = size * 1.5
  const west = Math.floor((bounds.west - reach) / step) * step
  const south = Math.floor((bounds.south - reach) / step) * step
  const count = Math.ceil((size + 2 * reach) / step) + 2
  const east = west + count * step
  const north = south + count * step
  const features: GeoJSON.Feature<GeoJSON.LineString>[] = []
  for (let index = 0; index <= count; index += 1) {
    const longitude = west + index * step
    const latitude = south + index * step
    features.push(line([[longitude, south], [longitude, north]]), line([[west, latitude], [east, latitude]]))
  }
  return { type: 'FeatureCollection', features }
}

export function line(coordinates: [number, number][]): GeoJSON.Feature<GeoJSON.LineString> {
  return { type: 'Feature', properties: {}, geometry: { type: 'LineString', coordinates } }
}

export interface DistrictProperties {
  district: string
  silent: boolean
}

/** Each district as the area around its devices: the hub knows no other outline of it. */
export function districts(
  devices: readonly MapDevice[],
  silent: ReadonlySet<string>,
): GeoJSON.FeatureCollection<GeoJSON.Polygon, DistrictProperties> {
  const places = new Map<string, Point[]>()
  for (const device of devices) {
    const found = places.get(device.district) ?? []
    found.push(...around(device.position))
    places.set(device.district, found)
  }
  return {
    type: 'FeatureCollection',
    features: [...places].map(([district, points]) => {
      const ring = hull(points).map((each) => [...each])
      const first = ring[0]
      return {
        type: 'Feature',
        properties: { district, silent: silent.has(district) },
        geometry: { type: 'Polygon', coordinates: first === undefined ? [] : [[...ring, first]] },
      }
    }),
  }
}

function around(place: Position): Point[] {
  const north = MARGIN_METRES / METRES_A_DEGREE
  const east = north / Math.cos((place.latitude * Math.PI) / 180)
  return Array.from({ length: CORNERS }, (_, index) => {
    const angle = (2 * Math.PI * index) / CORNERS
    return [place.longitude + east * Math.cos(angle), place.latitude + north * Math.sin(angle)] as const
  })
}

/** The convex hull (Andrew's monotone chain), counter-clockwise. */
export function hull(points: readonly Point[]): Point[] {
  const sorted = [...points].sort((one, other) => one[0] - other[0] || one[1] - other[1])
  if (sorted.length < 3) return sorted
  const half = (along: readonly Point[]): Point[] => {
    const found: Point[] = []
    for (const point of along) {
      while (found.length >= 2 && turn(found[found.length - 2] as Point, found[found.length - 1] as Point, point) <= 0)
        found.pop()
      found.push(point)
    }
    return found.slice(0, -1)
  }
  return [...half(sorted), ...half(sorted.toReversed())]
}

function turn(one: Point, other: Point, third: Point): number {
  return (other[0] - one[0]) * (third[1] - one[1]) - (other[1] - one[1]) * (third[0] - one[0])
}
