import { useQuery } from '@tanstack/react-query'
import { Button } from 'antd'
import type { JSX } from 'react'
import { useTranslation } from 'react-i18next'

import { answer, client } from '../api/client'
import type { UnitCandidate } from '../api/types'
import { localizedReasons } from '../i18n'
import { Dialog } from '../look/Dialog'
import { problemText } from '../look/problemText'
import { age, distance } from '../look/time'

interface Props {
  alertId: string
  close: () => void
  send: (unitId: string) => void
}

export function DispatchDialog({ alertId, close, send }: Props): JSX.Element {
  const { t } = useTranslation()
  const query = useQuery({
    queryKey: ['units', alertId],
    queryFn: () => answer(client.GET('/api/alerts/{alert_id}/units', { params: { path: { alert_id: alertId } } })),
    staleTime: 0,
    gcTime: 0,
  })
  return (
    <Dialog
      title={t('dispatch.title')}
      close={close}
      footer={<Button data-first onClick={close}>{t('dispatch.cancel')}</Button>}
    >
      {query.isPending && <p role="status">{t('dispatch.loading')}</p>}
      {query.isError && <p className="note note-bad" role="alert">{t('dispatch.failed', { detail: problemText(query.error) })}</p>}
      {query.data?.candidates.length === 0 && <p className="note note-warn">{t('dispatch.none')}</p>}
      <ul className="candidates">
        {query.data?.candidates.map((each, index) => (
          <Row key={each.unit_id} unit={each} first={index === 0} send={() => send(each.unit_id)} />
        ))}
      </ul>
    </Dialog>
  )
}

function Row({ unit, first, send }: { unit: UnitCandidate; first: boolean; send: () => void }): JSX.Element {
  const { t } = useTranslation()
  return (
    <li>
      <strong>{unit.unit_id}</strong>
      <b>{unit.distance_metres === null ? '' : distance(unit.distance_metres)}</b>
      <span className="candidate-facts">
        <span>{unit.position_age_ms === null ? t('dispatch.station') : t('dispatch.position', { age: age(unit.position_age_ms) })}</span>
        <span>{unit.alerts_in_hand > 0 ? t('dispatch.hand', { count: unit.alerts_in_hand }) : t('dispatch.free')}</span>
        <span>{t('dispatch.shift', { count: unit.alerts_this_shift })}</span>
        {!unit.reachable && <span className="tag tag-warn">{t('dispatch.unreachable')}</span>}
        {unit.asked_before && <span className="tag">{t('dispatch.asked')}</span>}
      </span>
      <Button type={first ? 'primary' : 'default'} onClick={send} aria-label={`${t('dispatch.send')} ${unit.unit_id}`}>
        {t('dispatch.send')}
      </Button>
      <p className="quiet">{localizedReasons(unit.reasons_chinese, unit.reasons)}</p>
    </li>
  )
}
