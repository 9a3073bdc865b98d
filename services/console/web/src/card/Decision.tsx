import { Button, Checkbox } from 'antd'
import { type JSX, useEffect, useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'

import { answer, client } from '../api/client'
import type { AlertCard } from '../api/types'
import { localized } from '../i18n'
import { useKeys } from '../keys/keys'
import type { CardProps } from './Card'
import type { useCommand } from './command'
import { CommandResult } from './CommandResult'
import { DispatchDialog } from './DispatchDialog'
import { allTicked } from './judgement'
import { RejectDialog } from './RejectDialog'
import { VoiceDialog } from './VoiceDialog'

/** What can only be ticked by somebody who has seen the evidence. */
const NEEDS_EVIDENCE: ReadonlySet<string> = new Set(['opened', 'read_matches', 'looks_match'])

interface Props extends CardProps {
  command: ReturnType<typeof useCommand>
  evidenceOpened: boolean
}

/** The checklist and the buttons: always in sight, never done before the hub says so. */
export function Decision(props: Props): JSX.Element {
  const { card, ticked, tick, command, evidenceOpened } = props
  const { t } = useTranslation()
  const [dialog, setDialog] = useState<'reject' | 'dispatch' | 'voice' | null>(null)
  const id = card.summary.alert_id
  const version = card.summary.version
  const may = (action: AlertCard['actions'][number]): boolean => card.actions.includes(action)
  const busy = command.state.phase === 'sent'
  const ready = allTicked(card, ticked)
  const left = card.checklist.filter((each) => !ticked.has(each.item)).length
  const live = [...card.assignments].reverse().find((each) => each.live)
  const path = { params: { path: { alert_id: id } } }

  // Evidence that went away takes the ticks with it that rest on it.
  const untick = useRef(tick)
  untick.current = tick
  useEffect(() => {
    if (!evidenceOpened) for (const item of NEEDS_EVIDENCE) untick.current(item, false)
  }, [evidenceOpened])

  function confirm(): void {
    if (!may('confirm') || !ready || busy) return
    const checklist = card.checklist.map((each) => each.item)
    void command.send('confirm', (command_id) =>
      answer(client.POST('/api/alerts/{alert_id}/confirm', { ...path, body: { version, checklist, command_id, note: '' } })),
    )
  }

  function reject(reason: string): void {
    setDialog(null)
    void command.send('reject', (command_id) =>
      answer(client.POST('/api/alerts/{alert_id}/reject', { ...path, body: { version, reason, command_id } })),
    )
  }

  function dispatch(unit_id: string): void {
    setDialog(null)
    void command.send('dispatch', (command_id) =>
      answer(client.POST('/api/alerts/{alert_id}/dispatch', { ...path, body: { version, unit_id, command_id } })),
    )
  }

  function voice(assignment_id: string, spoken_with: string): void {
    setDialog(null)
    void command.send('voice', (command_id) =>
      answer(
        client.POST('/api/alerts/{alert_id}/acknowledge-by-voice', {
          ...path,
          body: { assignment_id, spoken_with, command_id },
        }),
      ),
    )
  }

  function tickAt(index: number): boolean {
    const item = card.checklist[index]
    if (item === undefined || !may('confirm') || busy || isLocked(item.item)) return false
    tick(item.item, !ticked.has(item.item))
    return true
  }

  function isLocked(item: string): boolean {
    return NEEDS_EVIDENCE.has(item) && !evidenceOpened
  }

  useKeys({
    ...Object.fromEntries([1, 2, 3, 4, 5, 6, 7, 8, 9].map((digit) => [String(digit), () => tickAt(digit - 1)])),
    c: () => confirm(),
    r: () => (may('reject') && !busy ? setDialog('reject') : false),
    d: () => (may('dispatch') && !busy ? setDialog('dispatch') : false),
    v: () => (may('acknowledge_by_voice') && live !== undefined && !busy ? setDialog('voice') : false),
  })

  return (
    <footer className="decision">
      {props.moved.length > 0 && (
        <div className="result result-bad" role="alert" data-result="moved">
          <span>
            {t('decide.moved', { version, what: props.moved.map((each) => t(`decide.move.${each}`)).join(', ') })}
          </span>
          <Button size="small" onClick={props.acknowledge}>{t('decide.seen')}</Button>
        </div>
      )}
      <CommandResult state={command.state} clear={command.clear} />
      {may('confirm') && (
        <fieldset className="checklist">
          <legend>
            {t('checklist.title')} <b>{t('checklist.count', { ticked: card.checklist.length - left, total: card.checklist.length })}</b>
          </legend>
          {card.checklist.map((each, index) => (
            <div key={each.item} className="checklist-item">
              <kbd>{index + 1}</kbd>
              <Checkbox
                checked={ticked.has(each.item)}
                disabled={busy || isLocked(each.item)}
                onChange={(event) => tick(each.item, event.target.checked)}
                data-item={each.item}
              >
                {localized(each.text)}
              </Checkbox>
              {isLocked(each.item) && <span className="checklist-locked">{t('checklist.first')} <kbd>o</kbd></span>}
            </div>
          ))}
        </fieldset>
      )}
      <div className="decision-buttons">
        {may('confirm') && (
          <Button
            className={`confirm ${card.summary.names_person ? 'confirm-person' : ''}`}
            type="primary"
            size="large"
            disabled={!ready || busy}
            onClick={confirm}
            aria-keyshortcuts="c"
          >
            {card.summary.names_person ? t('decide.confirmPerson') : t('decide.confirm')} <kbd>c</kbd>
          </Button>
        )}
        {may('reject') && (
          <Button size="large" danger disabled={busy} onClick={() => setDialog('reject')} aria-keyshortcuts="r">
            {t('decide.reject')} <kbd>r</kbd>
          </Button>
        )}
        {may('dispatch') && (
          <Button size="large" disabled={busy} onClick={() => setDialog('dispatch')} aria-keyshortcuts="d">
            {t('decide.dispatch')} <kbd>d</kbd>
          </Button>
        )}
        {may('acknowledge_by_voice') && live !== undefined && (
          <Button size="large" disabled={busy} onClick={() => setDialog('voice')} aria-keyshortcuts="v">
            {t('decide.voice')} <kbd>v</kbd>
          </Button>
        )}
        {!['confirm', 'reject', 'dispatch', 'acknowledge_by_voice'].some((action) => (card.actions as string[]).includes(action)) && (
          <span className="quiet">{t('decide.nothing')}</span>
        )}
        {may('confirm') && left > 0 && <span className="quiet" role="status">{t('checklist.left', { count: left })}</span>}
      </div>
      {dialog === 'reject' && <RejectDialog close={() => setDialog(null)} reject={reject} />}
      {dialog === 'dispatch' && <DispatchDialog alertId={id} close={() => setDialog(null)} send={dispatch} />}
      {dialog === 'voice' && live !== undefined && (
        <VoiceDialog close={() => setDialog(null)} record={(spokenWith) => voice(live.assignment_id, spokenWith)} />
      )}
    </footer>
  )
}
