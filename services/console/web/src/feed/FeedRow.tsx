import { type JSX, memo } from 'react'
import { useTranslation } from 'react-i18next'

import type { AlertSummary } from '../api/types'
import { KindMark } from '../look/KindMark'
import { alertName } from '../look/names'
import { SeverityMark } from '../look/SeverityMark'
import { age, clock, useNow } from '../look/time'
import { type Group, kindOf } from './alerts'
import { useFeed } from './store'

interface Props {
  alert: AlertSummary
  group: Group
  isAt: boolean
  isOpen: boolean
}

export const FeedRow = memo(function FeedRow({ alert, group, isAt, isOpen }: Props): JSX.Element {
  const { t } = useTranslation()
  const kind = kindOf(alert)
  const classes = ['row', `is-${kind}`, `row-${group}`, isAt ? 'row-at' : '', isOpen ? 'row-open' : '']
  return (
    <button
      type="button"
      className={classes.join(' ')}
      data-alert={alert.alert_id}
      data-version={alert.version}
      data-status={alert.status}
      aria-current={isOpen ? 'true' : undefined}
      onClick={() => useFeed.getState().open(alert.alert_id)}
    >
      <span className="row-kind">
        <KindMark kind={kind} />
        <span>{t(`kind.${kind}`)}</span>
      </span>
      <span className="row-text">
        <span className="row-first">
          <strong>{alertName(alert)}</strong>
          <SeverityMark severity={alert.severity} />
          <RowAge alert={alert} group={group} />
        </span>
        <span className="row-second">
          <span className="row-place">{alert.district}{alert.device_id ? ` · ${alert.device_id}` : ''}</span>
          {alert.sighting_count > 1 && <span className="row-count" title={t('feed.seen', { count: alert.sighting_count })}>×{alert.sighting_count}</span>}
        </span>
        <span className="row-third">
          <span className={`status status-${alert.status}`}>{t(`status.${alert.status}`)}</span>
          {alert.unit_id !== null && alert.assignment_status !== null && (
            <span className="row-unit">{alert.unit_id} · {t(`assignment.${alert.assignment_status}`)}</span>
          )}
          {alert.supervisor_required && alert.open && <span className="tag tag-warn">{t('feed.supervisor')}</span>}
          {alert.call_by_radio && alert.open && <span className="tag tag-warn">{t('feed.radio')}</span>}
          {alert.sightings_to_confirm > 0 && alert.status !== 'awaiting_confirmation' && alert.open && (
            <span className="tag tag-warn">{t('feed.again')}</span>
          )}
          {alert.outcome !== null && <span className="row-unit">{t(`outcome.${alert.outcome}`)}</span>}
        </span>
      </span>
    </button>
  )
})

function RowAge({ alert, group }: { alert: AlertSummary; group: Group }): JSX.Element {
  const now = useNow()
  if (group === 'ended') return <time className="row-age">{clock(alert.closed_at_ms ?? alert.opened_at_ms)}</time>
  return <time className="row-age">{age(now - alert.opened_at_ms)}</time>
}
