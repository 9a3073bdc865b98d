import type { components } from '../api/schema'

export type { MapDevice, MapUnit, MapView, MovingView } from '../api/types'
export type Position = components['schemas']['Position']
