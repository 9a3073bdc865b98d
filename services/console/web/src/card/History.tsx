import type { JSX } from 'react'
import { useTranslation } from 'react-i18next'

import type { AlertCard } from '../api/types'
import { localizedReason, localizedReasons, word } from '../i18n'
import { personName } from '../look/names'
import { duration, moment, useNow } from '../look/time'

/** What happened, who was asked and why, and every sighting. */
export function History({ card }: { card: AlertCard }): JSX.Element {
  return (
    <div className="history">
      <Units card={card} />
      <Life card={card} />
      <Sightings card={card} />
    </div>
  )
}

function Units({ card }: { card: AlertCard }): JSX.Element {
  const { t } = useTranslation()
  const now = useNow()
  return (
    <section>
      <h3>{t('units.title')}</h3>
      {card.assignments.length === 0 && <p className="quiet">{t('units.none')}</p>}
      <ul className="units">
        {[...card.assignments].reverse().map((each) => (
          <li key={each.assignment_id} className={each.live ? 'is-live' : ''}>
            <strong>{each.unit_id}</strong>
            <span className={`assignment assignment-${each.status}`}>{t(`assignment.${each.status}`)}</span>
            {each.by_voice && <span className="tag">{t('units.byVoice')}</span>}
            {each.officer && <span>{each.officer}</span>}
            <time>{moment(each.answered_at_ms ?? each.delivered_at_ms ?? each.offered_at_ms, now)}</time>
            <p className="quiet">{localizedReasons(each.reasons_chinese, each.reasons)}</p>
          </li>
        ))}
      </ul>
    </section>
  )
}

function detailOf(event: AlertCard['life'][number]): string {
  if (event.kind === 'closed') return word(`outcome.${event.detail}`, event.detail)
  return localizedReason(event.detail_chinese, event.detail)
}

function Life({ card }: { card: AlertCard }): JSX.Element {
  const { t } = useTranslation()
  const now = useNow()
  return (
    <section>
      <h3>{t('life.title')}</h3>
      <ol className="life">
        {[...card.life].reverse().map((each, index) => (
          <li key={`${each.at_ms}-${each.kind}-${index}`} className={`life-${each.kind}`}>
            <time>{moment(each.at_ms, now)}</time>
            <strong>{t(`life.${each.kind}`)}</strong>
            <span>{[personName(each.who), detailOf(each)].filter(Boolean).join(' · ')}</span>
          </li>
        ))}
      </ol>
    </section>
  )
}

function Sightings({ card }: { card: AlertCard }): JSX.Element {
  const { t } = useTranslation()
  const now = useNow()
  return (
    <section>
      <h3>{t('sightings.title')} <b>{card.summary.sighting_count}</b></h3>
      <ul className="sightings">
        {card.sightings.map((each) => (
          <li key={each.raised_id} className={each.needs_confirmation ? 'needs' : ''}>
            <time>{moment(each.received_time_ms, now)}</time>
            <strong>{each.device_id}</strong>
            <span>
              {[
                each.read_confidence === null ? '' : `${Math.round(each.read_confidence * 100)} %`,
                each.mask === null ? '' : word(`why.maskCode.${each.mask}`, each.mask),
                `± ${duration(each.clock_uncertainty_ms)}`,
                t(`why.authentication.${each.authentication_class}`),
                each.has_picture ? t('sightings.picture') : t('sightings.noPicture'),
              ].filter(Boolean).join(' · ')}
            </span>
            {each.needs_confirmation && <span className="tag tag-warn">{t('sightings.needs')}</span>}
          </li>
        ))}
      </ul>
    </section>
  )
}
