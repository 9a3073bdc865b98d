import { useEffect } from 'react'

import { client } from '../api/client'

const AT_MOST_EVERY_MS = 60_000

/** Tells the hub that somebody is at the desk, so that the session does not become idle under them. */
export function useActivity(): void {
  useEffect(() => {
    let told = 0
    function act(): void {
      if (Date.now() - told < AT_MOST_EVERY_MS) return
      told = Date.now()
      // A refusal shows in the stream, which ends with the session.
      void client.POST('/api/session/activity').catch(() => undefined)
    }
    window.addEventListener('keydown', act)
    window.addEventListener('pointerdown', act)
    return () => {
      window.removeEventListener('keydown', act)
      window.removeEventListener('pointerdown', act)
    }
  }, [])
}
