import type { StyleSpecification } from 'maplibre-gl'

const NOTHING: GeoJSON.FeatureCollection = { type: 'FeatureCollection', features: [] }
export const SOURCES = ['grid', 'districts', 'district-labels', 'zones', 'zone-labels', 'devices', 'way', 'units', 'alerts'] as const
export type SourceName = (typeof SOURCES)[number]

/** Fonts of the machine: the map asks nobody for glyphs. */
const FONT = ['Noto Sans CJK SC']

/** The whole style: boundaries and a grid, drawn from what the hub knows. There is no tile host. */
export const NIGHT_STYLE: StyleSpecification = {
  version: 8,
  sources: Object.fromEntries(SOURCES.map((name) => [name, { type: 'geojson', data: NOTHING }])),
  layers: [
    { id: 'ground', type: 'background', paint: { 'background-color': '#0a0f16' } },
    { id: 'grid', type: 'line', source: 'grid', paint: { 'line-color': '#172130', 'line-width': 1 } },
    {
      id: 'districts',
      type: 'fill',
      source: 'districts',
      paint: { 'fill-color': ['case', ['get', 'silent'], '#ff3b30', '#1c2c42'], 'fill-opacity': ['case', ['get', 'silent'], 0.22, 0.35] },
    },
    {
      id: 'district-edges',
      type: 'line',
      source: 'districts',
      paint: { 'line-color': ['case', ['get', 'silent'], '#ff5a52', '#3a5170'], 'line-width': ['case', ['get', 'silent'], 2, 1], 'line-dasharray': [3, 2] },
    },
    {
      id: 'zones',
      type: 'fill',
      source: 'zones',
      paint: {
        'fill-color': ['match', ['get', 'kind'], 'no_parking', '#2cc7b0', 'restricted', '#e5b93c', 'checkpoint', '#4da3ff', '#8fa1b5'],
        'fill-opacity': 0.28,
      },
    },
    {
      id: 'zone-edges',
      type: 'line',
      source: 'zones',
      paint: {
        'line-color': ['match', ['get', 'kind'], 'no_parking', '#2cc7b0', 'restricted', '#e5b93c', 'checkpoint', '#4da3ff', '#8fa1b5'],
        'line-width': 1.5,
      },
    },
    {
      id: 'devices',
      type: 'circle',
      source: 'devices',
      paint: {
        'circle-radius': ['interpolate', ['linear'], ['zoom'], 9, 1.5, 13, 4],
        'circle-color': ['case', ['get', 'watched'], '#7f93a8', '#ff5a52'],
        'circle-stroke-color': '#0a0f16',
        'circle-stroke-width': 1,
      },
    },
    { id: 'way', type: 'line', source: 'way', paint: { 'line-color': '#ffffff', 'line-width': 1.5, 'line-dasharray': [2, 2], 'line-opacity': 0.7 } },
    {
      id: 'units',
      type: 'symbol',
      source: 'units',
      layout: {
        'icon-image': ['get', 'image'],
        'icon-allow-overlap': true,
        'text-field': ['get', 'id'],
        'text-font': FONT,
        'text-size': 12,
        'text-offset': [0, 1.2],
        'text-anchor': 'top',
        'text-optional': true,
      },
      paint: { 'text-color': '#b9c7d6', 'text-halo-color': '#0a0f16', 'text-halo-width': 1.5 },
    },
    {
      id: 'alert-opened',
      type: 'circle',
      source: 'alerts',
      filter: ['get', 'opened'],
      paint: { 'circle-radius': 22, 'circle-color': '#ffffff', 'circle-opacity': 0.08, 'circle-stroke-color': '#ffffff', 'circle-stroke-width': 2 },
    },
    {
      id: 'alerts',
      type: 'symbol',
      source: 'alerts',
      layout: { 'icon-image': ['get', 'image'], 'icon-allow-overlap': true, 'symbol-sort-key': ['get', 'weight'] },
    },
    {
      id: 'district-labels',
      type: 'symbol',
      source: 'district-labels',
      minzoom: 11,
      layout: { 'text-field': ['get', 'name'], 'text-font': FONT, 'text-size': 11, 'text-offset': [0, -0.3], 'text-anchor': 'bottom' },
      paint: {
        'text-color': ['case', ['get', 'silent'], '#ff9d97', '#7f93a8'],
        'text-halo-color': '#0a0f16',
        'text-halo-width': 1.5,
      },
    },
    {
      id: 'zone-labels',
      type: 'symbol',
      source: 'zone-labels',
      minzoom: 12,
      layout: { 'text-field': ['get', 'name'], 'text-font': FONT, 'text-size': 12, 'text-offset': [0, -1.4], 'text-anchor': 'bottom' },
      paint: { 'text-color': '#9fd8cf', 'text-halo-color': '#0a0f16', 'text-halo-width': 1.5 },
    },
  ],
}
