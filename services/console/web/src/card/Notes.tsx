import type { JSX } from 'react'
import { useTranslation } from 'react-i18next'

import type { AlertCard } from '../api/types'
import { localizedReason } from '../i18n'

/** What whoever decides must not miss: who has to, why nobody has it, why it is over. */
export function Notes({ card }: { card: AlertCard }): JSX.Element | null {
  const { t } = useTranslation()
  const { summary } = card
  return (
    <>
      {summary.supervisor_required && summary.open && <p className="note note-warn">{t('card.supervisor')}</p>}
      {summary.status === 'escalated' && card.escalated_reason && (
        <p className="note note-warn" data-note="escalated">
          {t('card.escalatedFor', { reason: localizedReason(card.escalated_reason_chinese, card.escalated_reason) })}
        </p>
      )}
      {summary.call_by_radio && summary.open && <p className="note note-warn">{t('card.radio')}</p>}
      {card.rejected_reason && <p className="note">{t('card.rejectedFor', { reason: card.rejected_reason })}</p>}
      {card.cancelled_reason && (
        <p className="note note-warn">
          {t('card.cancelledFor', { reason: localizedReason(card.cancelled_reason_chinese, card.cancelled_reason) })}
        </p>
      )}
      {summary.outcome !== null && <p className="note">{t('card.outcome', { outcome: t(`outcome.${summary.outcome}`) })}</p>}
    </>
  )
}
