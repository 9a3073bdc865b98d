import { create } from 'zustand'

interface MapFocus {
  /** The alert to show, and a count so that the same one can be asked for again. */
  alertId: string | null
  asked: number
  show(alertId: string | null): void
}

export const useMapFocus = create<MapFocus>()((set) => ({
  alertId: null,
  asked: 0,
  show: (alertId) => set((state) => ({ alertId, asked: state.asked + 1 })),
}))
