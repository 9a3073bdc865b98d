import type { JSX } from 'react'
import { useTranslation } from 'react-i18next'

import type { SessionView } from '../api/types'
import { groupOf } from '../feed/alerts'
import { useFeed } from '../feed/store'
import { clock, day, useNow } from '../look/time'
import { useSignOut } from '../session/session'
import { LanguageSwitch } from './LanguageSwitch'

export function TopBar({ session, showHelp }: { session: SessionView; showHelp: () => void }): JSX.Element {
  const { t } = useTranslation()
  const signOut = useSignOut()
  const sound = useFeed((state) => state.sound)
  return (
    <header className="top">
      <div className="top-brand">
        <img src="/favicon.svg" alt="" width="26" height="26" />
        <h1>{t('app.name')}</h1>
        <span>{t('app.office')}</span>
      </div>
      <HubState />
      <ToDecide />
      <div className="top-space" />
      <HubClock />
      <button
        type="button"
        className="top-button"
        aria-pressed={sound}
        title={t('top.sound')}
        onClick={useFeed.getState().toggleSound}
      >
        {sound ? t('top.soundOn') : t('top.soundOff')}
      </button>
      <LanguageSwitch />
      <button type="button" className="top-button" onClick={showHelp}>
        {t('top.help')} <kbd>?</kbd>
      </button>
      <div className="top-account">
        <strong>{session.account}</strong>
        <span>{session.roles.map((role) => t(`session.roles.${role}`)).join(', ')}</span>
      </div>
      <button type="button" className="top-button" onClick={() => void signOut()}>{t('session.signOut')}</button>
    </header>
  )
}

function HubState(): JSX.Element {
  const { t } = useTranslation()
  const watch = useFeed((state) => state.watch)
  const live = useFeed((state) => state.live)
  // What was said before the stream was lost is not known to hold.
  const state = !live || watch === null ? 'unknown' : watch.watching ? 'watching' : 'notWatching'
  return (
    <div className="top-state" role="status">
      <span className={`state state-${state}`}><i aria-hidden="true" />{t(`top.${state}`)}</span>
      <span className={live ? 'live' : 'live live-not'}><i aria-hidden="true" />{live ? t('top.live') : t('top.notLive')}</span>
    </div>
  )
}

function ToDecide(): JSX.Element {
  const { t } = useTranslation()
  const alerts = useFeed((state) => state.alerts)
  const waiting = [...alerts.values()].filter((each) => groupOf(each) === 'decide')
  const persons = waiting.filter((each) => each.names_person).length
  document.title = waiting.length > 0 ? `(${waiting.length}) ${t('app.name')}` : t('app.name')
  return (
    <div className="top-count">
      <b>{waiting.length}</b> {t('top.decideCount')}
      {persons > 0 && <span className="tag tag-person">{t('kind.person')} {persons}</span>}
    </div>
  )
}

function HubClock(): JSX.Element {
  const { t } = useTranslation()
  const now = useNow()
  return (
    <div className="top-clock" title={t('top.clock')}>
      <span>{day(now)}</span> <time dateTime={new Date(now).toISOString()}>{clock(now)}</time>
    </div>
  )
}
