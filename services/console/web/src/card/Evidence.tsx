import { Button, Input, Select } from 'antd'
import { type JSX, useEffect, useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'

import { answer, client } from '../api/client'
import { Problem } from '../api/problem'
import type { AlertCard, OpenedEvidence, SessionView } from '../api/types'
import { localized, localizedReason } from '../i18n'
import { useKeys } from '../keys/keys'
import { problemText } from '../look/problemText'
import { moment, useNow } from '../look/time'
import { Picture } from './Picture'

const REASONS = ['compare', 'officer', 'review', 'outcome'] as const
type ReasonCode = (typeof REASONS)[number]

interface Props {
  card: AlertCard
  session: SessionView
  opened: OpenedEvidence | null
  setOpened: (opened: OpenedEvidence | null) => void
}

/** Plate, picture and contact: sealed until somebody opens them, on the record. */
export function Evidence({ card, session, opened, setOpened }: Props): JSX.Element {
  const { t } = useTranslation()
  const now = useNow()
  const [reason, setReason] = useState<ReasonCode>('compare')
  const [busy, setBusy] = useState(false)
  const [failure, setFailure] = useState<unknown>(null)
  const [second, setSecond] = useState({ account: '', password: '' })
  const openedAt = useRef(0)
  const may = card.actions.includes('open') && session !== null
  const needsSecond = failure instanceof Problem && failure.fields.includes('second_person_token')

  // What was opened goes with this card.
  useEffect(() => () => setOpened(null), [setOpened])

  async function open(): Promise<void> {
    if (busy || opened !== null || !may) return
    setBusy(true)
    try {
      const found = await answer<OpenedEvidence>(
        client.POST('/api/alerts/{alert_id}/open', {
          params: { path: { alert_id: card.summary.alert_id } },
          body: {
            reason: t(`evidence.reasons.${reason}`),
            ...(needsSecond && second.account && second.password ? { second_person: second } : {}),
          },
        }),
      )
      openedAt.current = now
      setFailure(null)
      setOpened(found)
    } catch (error) {
      setFailure(error)
    } finally {
      setSecond({ account: '', password: '' })
      setBusy(false)
    }
  }

  useKeys({ o: () => void open() })

  if (opened !== null) return <Opened card={card} opened={opened} at={moment(openedAt.current, now)} />
  return (
    <section className="evidence evidence-sealed" aria-labelledby="evidence-title">
      <div className="evidence-seal">
        <Seal />
        <div>
          <h3 id="evidence-title">{t('evidence.title')}: {t('evidence.sealed')}</h3>
          <p>{may ? t('evidence.sealedHint') : card.evidence_missing_reason ? t('evidence.missing', { reason: localizedReason(card.evidence_missing_reason_chinese, card.evidence_missing_reason) }) : t('evidence.mayNot')}</p>
        </div>
      </div>
      {may && (
        <div className="evidence-open">
          <Select<ReasonCode>
            aria-label={t('evidence.reason')}
            value={reason}
            onChange={setReason}
            options={REASONS.map((value) => ({ value, label: t(`evidence.reasons.${value}`) }))}
          />
          <Button type="primary" onClick={() => void open()} disabled={busy} aria-keyshortcuts="o">
            {busy ? t('evidence.opening') : t('evidence.open')} <kbd>o</kbd>
          </Button>
        </div>
      )}
      {failure !== null && (
        <p className="note note-bad" role="alert">{t('evidence.notRecorded', { detail: problemText(failure) })}</p>
      )}
      {needsSecond && (
        <fieldset className="evidence-second">
          <legend>{t('evidence.secondPerson')}</legend>
          <p>{t('evidence.secondPersonHint')}</p>
          <Input
            aria-label={t('evidence.supervisorAccount')}
            placeholder={t('evidence.supervisorAccount')}
            autoComplete="off"
            value={second.account}
            onChange={(event) => setSecond({ ...second, account: event.target.value })}
          />
          <Input
            type="password"
            aria-label={t('evidence.supervisorPassword')}
            placeholder={t('evidence.supervisorPassword')}
            autoComplete="new-password"
            value={second.password}
            onChange={(event) => setSecond({ ...second, password: event.target.value })}
          />
        </fieldset>
      )}
    </section>
  )
}

function Opened({ card, opened, at }: { card: AlertCard; opened: OpenedEvidence; at: string }): JSX.Element {
  const { t } = useTranslation()
  const rows: readonly (readonly [string, string])[] = [
    [t('evidence.make'), opened.make],
    [t('evidence.colour'), opened.colour],
    [t('evidence.case'), opened.case_number],
    [t('evidence.authority'), opened.issuing_authority],
  ]
  const instruction = localized(opened.instruction)
  return (
    <section className="evidence evidence-opened" aria-label={t('evidence.title')}>
      <Picture
        alertId={card.summary.alert_id}
        there={opened.has_picture}
        missing={localizedReason(opened.picture_missing_reason_chinese, opened.picture_missing_reason)}
      />
      <div className="evidence-facts">
        <p className={`plate plate-${plateColour(opened.plate_colour)}`} lang="zh-CN">{opened.identifier}</p>
        <dl>
          {rows.filter(([, value]) => value).map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
          {opened.authority_contact && (
            <div className="evidence-contact">
              <dt>{t('evidence.contact')}</dt>
              <dd>{opened.authority_contact}</dd>
            </div>
          )}
        </dl>
        {instruction && (
          <p className="evidence-instruction"><b>{t('evidence.instruction')}</b> {instruction}</p>
        )}
        <p className="evidence-record">{t('evidence.onRecord', { time: at })}</p>
      </div>
    </section>
  )
}

/** As plates are painted; a colour that is not known looks like paper. */
function plateColour(colour: string): string {
  const known = { blue: 'blue', green: 'green', yellow: 'yellow', white: 'white', black: 'black', 蓝: 'blue', 绿: 'green', 黄: 'yellow', 白: 'white', 黑: 'black' }
  return Object.entries(known).find(([name]) => colour.toLowerCase().includes(name))?.[1] ?? 'unknown'
}

function Seal(): JSX.Element {
  return (
    <svg aria-hidden="true" width="30" height="30" viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.800">
      <rect x="5" y="10.500" width="14" height="10" rx="2" />
      <path d="M8 10.500V7.500a4 4 0 0 1 8 0v3M12 14.500v2.500" />
    </svg>
  )
}
