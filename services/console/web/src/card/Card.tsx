import { type JSX, useState } from 'react'
import { useTranslation } from 'react-i18next'

import type { AlertCard, OpenedEvidence, SessionView } from '../api/types'
import { kindOf } from '../feed/alerts'
import { useFeed } from '../feed/store'
import { localized } from '../i18n'
import { useKeys } from '../keys/keys'
import { KindMark } from '../look/KindMark'
import { alertName, personName, shortId } from '../look/names'
import { SeverityMark } from '../look/SeverityMark'
import { age, moment, useNow } from '../look/time'
import { useMapFocus } from '../map/focus'
import { useCommand } from './command'
import { Decision } from './Decision'
import { Evidence } from './Evidence'
import { History } from './History'
import type { Move } from './judgement'
import { Notes } from './Notes'
import { WhyStrip } from './WhyStrip'

export interface CardProps {
  card: AlertCard
  ticked: ReadonlySet<string>
  moved: readonly Move[]
  evidence: number
  session: SessionView
  tick: (item: string, on: boolean) => void
  acknowledge: () => void
  /** The hub's answer to this desk's command. */
  taken: (card: AlertCard) => void
  /** The hub did not do it: the alert is not what this desk saw. */
  stale: () => void
}

export function Card(props: CardProps): JSX.Element {
  const { card, session } = props
  const { t } = useTranslation()
  const [opened, setOpened] = useState<OpenedEvidence | null>(null)
  const command = useCommand(props.taken, props.stale)
  const kind = kindOf(card.summary)
  useKeys({ m: () => useMapFocus.getState().show(card.summary.alert_id) })

  return (
    <article className={`card-body is-${kind}`} data-card={card.summary.alert_id} data-version={card.summary.version}>
      <Head card={card} />
      {card.summary.names_person && <PersonBand card={card} />}
      <Notes card={card} />
      <div className="card-scroll" tabIndex={0} role="group" aria-label={t('card.details')}>
        <WhyStrip card={card} />
        <Evidence key={props.evidence} card={card} session={session} opened={opened} setOpened={setOpened} />
        <History card={card} />
      </div>
      <Decision {...props} command={command} evidenceOpened={opened !== null} />
    </article>
  )
}

function Head({ card }: { card: AlertCard }): JSX.Element {
  const { t } = useTranslation()
  const now = useNow()
  const { summary } = card
  const newest = card.sightings[0]
  return (
    <header className="card-head">
      <div className="card-kind">
        <KindMark kind={kindOf(summary)} size={34} />
        <span>{t(`kind.${kindOf(summary)}`)}</span>
      </div>
      <div className="card-title">
        <div className="card-title-line">
          <h2>{alertName(summary)}</h2>
          <SeverityMark severity={summary.severity} named />
          <span className={`status status-${summary.status}`}>{t(`status.${summary.status}`)}</span>
        </div>
        <p className="card-instruction">{localized(summary.text)}</p>
        <p className="card-place">
          <span>{summary.district}</span>
          {newest !== undefined && <span>{newest.device_id}</span>}
          {newest?.lane != null && <span>{t('card.lane', { lane: newest.lane })}</span>}
          {newest?.direction != null && <span>{t(`direction.${newest.direction}`)}</span>}
          <span>{t(`policy.${summary.policy}`)}</span>
          <span className="mono">{shortId(summary.alert_id)} · {t('card.version', { version: summary.version })}</span>
          <button type="button" onClick={() => useFeed.getState().open(null)} className="card-close">
            <span className="only-read">{t('card.close')}</span> Esc
          </button>
        </p>
      </div>
      <div className="card-age">
        {summary.newest_read_ms !== null && (
          <>
            <strong>{age(now - summary.newest_read_ms)}</strong>
            <span>{t('card.read')}</span>
          </>
        )}
        <span>{t('card.opened', { time: moment(summary.opened_at_ms, now) })}</span>
      </div>
    </header>
  )
}

/** Nobody may take an alert that sends officers to a person for one about a thing. */
function PersonBand({ card }: { card: AlertCard }): JSX.Element {
  const { t } = useTranslation()
  const now = useNow()
  return (
    <div className="person-band" role="note">
      <KindMark kind="person" />
      <strong>{t('card.personBand')}</strong>
      <span>
        {card.confirmed_at_ms === null
          ? t('card.personFirst')
          : t('card.personConfirmed', { who: personName(card.confirmed_by), time: moment(card.confirmed_at_ms, now) })}
      </span>
    </div>
  )
}
