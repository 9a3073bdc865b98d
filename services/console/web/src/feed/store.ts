import { create } from 'zustand'

import type { AlertSummary, WatchState } from '../api/types'
import { type Alerts, type Kind, withAlert, withSnapshot } from './alerts'

interface FeedState {
  alerts: Alerts
  /** Null before the first heartbeat: nothing is known. */
  watch: WatchState | null
  live: boolean
  /** Since when the page is not live, by this machine's clock. */
  lostAt: number
  /** The hub's clock less this machine's. */
  offsetMs: number
  sessionEndsAt: number | null
  kinds: ReadonlySet<Kind>
  /** The row that the keyboard is on. */
  cursor: string | null
  /** The alert whose card is shown. */
  opened: string | null
  sound: boolean
  takeSnapshot(alerts: readonly AlertSummary[]): void
  take(alert: AlertSummary): void
  heard(serverTimeMs: number, watch: WatchState, sessionEndsAt: number): void
  setLive(live: boolean): void
  toggleKind(kind: Kind | null): void
  moveTo(id: string | null): void
  open(id: string | null): void
  toggleSound(): void
  clear(): void
}

const EMPTY = {
  alerts: new Map<string, AlertSummary>(),
  watch: null,
  live: false,
  sessionEndsAt: null,
  kinds: new Set<Kind>(),
  cursor: null,
  opened: null,
}

export const useFeed = create<FeedState>()((set) => ({
  ...EMPTY,
  lostAt: Date.now(),
  offsetMs: 0,
  sound: true,
  takeSnapshot: (alerts) => set((state) => ({ alerts: withSnapshot(state.alerts, alerts) })),
  take: (alert) => set((state) => ({ alerts: withAlert(state.alerts, alert) })),
  heard: (serverTimeMs, watch, sessionEndsAt) =>
    set({ offsetMs: serverTimeMs - Date.now(), watch, sessionEndsAt }),
  setLive: (live) =>
    set((state) => (state.live === live ? {} : { live, lostAt: live ? state.lostAt : Date.now() })),
  toggleKind: (kind) =>
    set((state) => {
      if (kind === null) return { kinds: new Set() }
      const kinds = new Set(state.kinds)
      if (!kinds.delete(kind)) kinds.add(kind)
      return { kinds }
    }),
  moveTo: (cursor) => set({ cursor }),
  open: (opened) => set((state) => ({ opened, cursor: opened ?? state.cursor })),
  toggleSound: () => set((state) => ({ sound: !state.sound })),
  clear: () => set({ ...EMPTY, lostAt: Date.now() }),
}))
