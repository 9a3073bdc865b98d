import { useQuery } from '@tanstack/react-query'
import { type JSX, lazy, Suspense } from 'react'
import { useTranslation } from 'react-i18next'

import { answer, client } from '../api/client'
import type { MapUnit, MapView } from '../api/types'
import { problemText } from '../look/problemText'
import { age, useNow } from '../look/time'
import { useFeed } from '../feed/store'
import { useMapFocus } from './focus'

const NightMap = lazy(async () => ({ default: (await import('./NightMap')).NightMap }))

const DEVICES_EVERY_MS = 60_000
const UNITS_EVERY_MS = 3_000
const NOBODY: readonly MapUnit[] = []
/** After so long without an answer positions are said to be old. */
const OLD_MS = 15_000

export function MapPanel(): JSX.Element {
  const { t } = useTranslation()
  const live = useFeed((state) => state.live)
  const whole = useQuery({
    queryKey: ['map'],
    // openapi-fetch knows a pair of coordinates as a list of numbers only.
    queryFn: () => answer(client.GET('/api/map')) as Promise<MapView>,
    refetchInterval: DEVICES_EVERY_MS,
    retry: true,
    retryDelay: 3_000,
  })
  const moving = useQuery({
    queryKey: ['map', 'moving'],
    queryFn: () => answer(client.GET('/api/map/moving')),
    refetchInterval: UNITS_EVERY_MS,
    enabled: live && whole.isSuccess,
  })
  const newest = moving.data ?? whole.data
  const now = useNow()
  const old = newest === undefined ? 0 : now - newest.server_time_ms
  return (
    <aside className="map" aria-labelledby="map-title">
      <div className="panel-head">
        <h2 id="map-title" className="only-read">{t('map.panel')}</h2>
        {old > OLD_MS && <span className="tag tag-warn" role="status">{t('map.stale', { age: age(old) })}</span>}
        <span className="map-legend" aria-hidden="true">
          <span><i className="dot dot-device" /> {t('map.legend.device')}</span>
          <span><i className="dot dot-unwatched" /> {t('map.legend.unwatched')}</span>
          <span><i className="dot dot-unit" /> {t('map.legend.unit')}</span>
          <span><i className="dot dot-station" /> {t('map.legend.station')}</span>
        </span>
        <button type="button" className="top-button" onClick={() => useMapFocus.getState().show(null)}>{t('map.city')}</button>
      </div>
      {whole.isError && whole.data === undefined && (
        <p className="note note-bad" role="alert">{t('map.noData', { detail: problemText(whole.error) })}</p>
      )}
      <Suspense fallback={<div className="map-frame" />}>
        <NightMap view={whole.data} units={newest?.units ?? NOBODY} />
      </Suspense>
    </aside>
  )
}
