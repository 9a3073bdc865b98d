import { Button } from 'antd'
import type { JSX } from 'react'
import { useTranslation } from 'react-i18next'

import { localized, word } from '../i18n'
import { clock } from '../look/time'
import type { CommandState } from './command'

/** What the hub said to the last command; that it said nothing, where it did not. */
export function CommandResult({ state, clear }: { state: CommandState; clear: () => void }): JSX.Element | null {
  const { t } = useTranslation()
  switch (state.phase) {
    case 'idle':
      return null
    case 'sent':
      return <div className="result result-sent" role="status" data-result="sent">{t(`decide.sent.${state.name}`)}</div>
    case 'done':
      return (
        <div className="result result-good" role="status" data-result="done">
          {t(`decide.done.${state.name}`, { time: clock(state.at) })}
        </div>
      )
    case 'stale':
      return (
        <div className="result result-bad" role="alert" data-result="stale">
          <span>{t('decide.stale')}</span>
          <Button size="small" onClick={clear}>{t('decide.seen')}</Button>
        </div>
      )
    case 'refused': {
      const known = word(`problem.${state.status}`, '')
      const detail = [known, localized(state.detail)].filter(Boolean).join(': ')
      return (
        <div className="result result-bad" role="alert" data-result="refused">
          <span>{state.status === 503 ? t('decide.retry', { detail }) : t('decide.refused', { detail })}</span>
          <Button size="small" onClick={clear}>{t('decide.seen')}</Button>
        </div>
      )
    }
    case 'unknown':
      return (
        <div className="result result-bad" role="alert" data-result="unknown">
          <span>{t('decide.unknown')}</span>
          <Button size="small" type="primary" onClick={state.again}>{t('decide.again')}</Button>
        </div>
      )
  }
}
