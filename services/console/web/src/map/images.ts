import type { Map } from 'maplibre-gl'

const PIXELS = 2
type Draw = (context: CanvasRenderingContext2D, size: number) => void

function polygon(corners: readonly (readonly [number, number])[]): Draw {
  return (context, size) => {
    context.beginPath()
    corners.forEach(([x, y], index) => {
      if (index === 0) context.moveTo(x * size, y * size)
      else context.lineTo(x * size, y * size)
    })
    context.closePath()
  }
}

const circle: Draw = (context, size) => {
  context.beginPath()
  context.arc(size / 2, size / 2, size * 0.4, 0, 2 * Math.PI)
}
const diamond = polygon([[0.5, 0.02], [0.98, 0.5], [0.5, 0.98], [0.02, 0.5]])
const square = polygon([[0.12, 0.12], [0.88, 0.12], [0.88, 0.88], [0.12, 0.88]])
const hexagon = polygon([[0.5, 0.04], [0.9, 0.27], [0.9, 0.73], [0.5, 0.96], [0.1, 0.73], [0.1, 0.27]])
const shield = polygon([[0.12, 0.12], [0.5, 0.02], [0.88, 0.12], [0.84, 0.62], [0.5, 0.98], [0.16, 0.62]])
const triangle = polygon([[0.5, 0.08], [0.95, 0.9], [0.05, 0.9]])

/** Shapes first, colours second: as in the feed. Name, shape, size, fill, edge. */
const IMAGES: readonly (readonly [string, Draw, number, string, string])[] = [
  ['alert-person', diamond, 26, '#ff4f9a', '#ffffff'],
  ['alert-vehicle', square, 19, '#4da3ff', '#06121f'],
  ['alert-zone', hexagon, 21, '#2cc7b0', '#06121f'],
  ['alert-call', circle, 23, '#ff5a52', '#ffffff'],
  ['alert-other', triangle, 21, '#e5b93c', '#06121f'],
  ['unit-free', shield, 19, '#3fbf6f', '#06121f'],
  ['unit-busy', shield, 19, '#e5b93c', '#06121f'],
  ['unit-station', shield, 19, '#0b1017', '#8fa1b5'],
]

/** Draws what the map's layers show; nothing is fetched. */
export function addImages(map: Map): void {
  for (const [name, draw, points, fill, edge] of IMAGES) {
    const size = points * PIXELS
    const canvas = document.createElement('canvas')
    canvas.width = size
    canvas.height = size
    const context = canvas.getContext('2d')
    if (context === null) continue
    const margin = 2 * PIXELS
    context.translate(margin, margin)
    draw(context, size - 2 * margin)
    context.fillStyle = fill
    context.fill()
    context.lineWidth = 1.6 * PIXELS
    context.strokeStyle = edge
    context.stroke()
    map.addImage(name, context.getImageData(0, 0, size, size), { pixelRatio: PIXELS })
  }
}
