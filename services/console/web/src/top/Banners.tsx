import type { JSX } from 'react'
import { useTranslation } from 'react-i18next'

import { useFeed } from '../feed/store'
import { localizedReason } from '../i18n'
import { age, useNow } from '../look/time'

const DISTRICTS_NAMED = 12
/** When the page asks whether anybody is there. */
const IDLE_WARNING_MS = 120_000

/** What an operator must know before anything else. */
export function Banners(): JSX.Element {
  return (
    <div className="banners">
      <NotLive />
      <NotWatching />
      <Idle />
    </div>
  )
}

function NotLive(): JSX.Element | null {
  const { t } = useTranslation()
  const live = useFeed((state) => state.live)
  const everHeard = useFeed((state) => state.watch !== null)
  const lostAt = useFeed((state) => state.lostAt)
  const now = useNow() - useFeed((state) => state.offsetMs)
  if (live) return null
  if (!everHeard && now - lostAt < 3_000) return <div className="banner banner-quiet" role="status">{t('banner.connecting')}</div>
  return (
    <div className="banner banner-loud" role="alert">
      <strong>{t('banner.notLive', { age: age(now - lostAt) })}</strong>
    </div>
  )
}

function NotWatching(): JSX.Element | null {
  const { t } = useTranslation()
  const watch = useFeed((state) => state.watch)
  if (watch === null || watch.watching) return null
  const named = watch.silent_districts.slice(0, DISTRICTS_NAMED)
  const more = watch.silent_district_count - named.length
  return (
    <div className="banner banner-loud" role="alert">
      <strong>{t('banner.notWatching')}</strong>
      {named.length > 0 && (
        <span>
          {t('banner.districts', { districts: named.join(', ') })} {more > 0 && t('banner.more', { count: more })}
        </span>
      )}
      {watch.silent_gateways.length > 0 && (
        <span>{t('banner.gateways', { gateways: watch.silent_gateways.join(', ') })}</span>
      )}
      {watch.reason && <span>{localizedReason(watch.reason_chinese, watch.reason)}</span>}
    </div>
  )
}

function Idle(): JSX.Element | null {
  const { t } = useTranslation()
  const endsAt = useFeed((state) => state.sessionEndsAt)
  const left = (endsAt ?? Number.POSITIVE_INFINITY) - useNow()
  if (left > IDLE_WARNING_MS || left < 0) return null
  return <div className="banner banner-warn" role="alert">{t('session.idle', { left: age(left) })}</div>
}
