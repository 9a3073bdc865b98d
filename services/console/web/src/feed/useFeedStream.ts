import { useQueryClient } from '@tanstack/react-query'
import { useEffect } from 'react'

import { answer, client } from '../api/client'
import { SESSION } from '../session/session'
import { announce } from './announce'
import { useFeed } from './store'
import { type FeedListener, FeedStream } from './stream'

/** Set while somebody is signed in. */
let sessionMayBeOver: () => void = () => undefined

const listener: FeedListener = {
  snapshot: ({ alerts }) => useFeed.getState().takeSnapshot(alerts),
  alert: ({ alert }) => {
    const known = useFeed.getState().alerts.has(alert.alert_id)
    useFeed.getState().take(alert)
    if (!known && alert.open) announce(alert)
  },
  heartbeat: ({ server_time_ms, watch, session_ends_at_ms }) =>
    useFeed.getState().heard(server_time_ms, watch, session_ends_at_ms),
  ended: ({ signed_out }) => {
    if (signed_out) sessionMayBeOver()
  },
  failed: () => sessionMayBeOver(),
  live: (live) => useFeed.getState().setLive(live),
}

/** One stream a tab, whoever signs in again: it goes on after the last event that it saw. */
const stream = new FeedStream(listener)

export function useFeedStream(): void {
  const queries = useQueryClient()
  useEffect(() => {
    sessionMayBeOver = () => void queries.invalidateQueries({ queryKey: SESSION })
    stream.start()
    void takeEnded()
    return () => {
      sessionMayBeOver = () => undefined
      stream.stop()
      useFeed.getState().setLive(false)
    }
  }, [queries])
}

/** What ended before the page was opened: the stream tells only what happens from then on. */
async function takeEnded(): Promise<void> {
  const ended = await answer(
    client.GET('/api/alerts', { params: { query: { state: ['closed', 'rejected', 'cancelled'], size: 50 } } }),
  ).catch(() => null)
  for (const alert of ended?.alerts ?? []) useFeed.getState().take(alert)
}
