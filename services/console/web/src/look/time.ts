import { useSyncExternalStore } from 'react'

import { useFeed } from '../feed/store'

/** One tick a second for all ages on the page. */
const listeners = new Set<() => void>()
let second = Math.floor(Date.now() / 1_000)

function subscribe(listener: () => void): () => void {
  if (listeners.size === 0) timer = setInterval(tick, 250)
  listeners.add(listener)
  return () => {
    listeners.delete(listener)
    if (listeners.size === 0) clearInterval(timer)
  }
}

let timer: ReturnType<typeof setInterval> | undefined

function tick(): void {
  const now = Math.floor(Date.now() / 1_000)
  if (now === second) return
  second = now
  for (const listener of listeners) listener()
}

/** The hub's time in milliseconds since 1970, once a second. A desk's own clock may be wrong. */
export function useNow(): number {
  const seconds = useSyncExternalStore(subscribe, () => second)
  return seconds * 1_000 + useFeed((state) => state.offsetMs)
}

/** Such as 8 s, 2:05, 3 h 20, 4 d. */
export function age(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1_000))
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes}:${String(seconds % 60).padStart(2, '0')}`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return `${hours} h ${String(minutes % 60).padStart(2, '0')}`
  return `${Math.floor(hours / 24)} d`
}

function two(value: number): string {
  return String(value).padStart(2, '0')
}

/** HH:MM:SS where this desk is. */
export function clock(timeMs: number): string {
  const at = new Date(timeMs)
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`
}

/** YYYY-MM-DD where this desk is. */
export function day(timeMs: number): string {
  const at = new Date(timeMs)
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`
}

/** The time, with its day where that is another one than `nowMs`'s. */
export function moment(timeMs: number, nowMs: number): string {
  return day(timeMs) === day(nowMs) ? clock(timeMs) : `${day(timeMs)} ${clock(timeMs)}`
}

/** A distance for people. */
export function distance(metres: number): string {
  return metres < 1_000 ? `${Math.round(metres)} m` : `${(metres / 1_000).toFixed(1)} km`
}

/** A duration of milliseconds for people: 120 ms, 1.4 s. */
export function duration(milliseconds: number): string {
  return milliseconds < 1_000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1_000).toFixed(1)} s`
}
