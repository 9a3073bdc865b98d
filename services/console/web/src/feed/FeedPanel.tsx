import { useVirtualizer } from '@tanstack/react-virtual'
import { type JSX, useEffect, useMemo, useRef } from 'react'
import { useTranslation } from 'react-i18next'

import type { AlertSummary } from '../api/types'
import { type Group, type Kind, type Section, kindOf } from './alerts'
import { FeedRow } from './FeedRow'
import { useFeed } from './store'

const KINDS: readonly Kind[] = ['person', 'vehicle', 'zone', 'call']
const HEADING_PIXELS = 30
const ROW_PIXELS = 62

type Line = { heading: Group; count: number } | { alert: AlertSummary; group: Group }

export function FeedPanel({ shown }: { shown: readonly Section[] }): JSX.Element {
  const { t } = useTranslation()
  const cursor = useFeed((state) => state.cursor)
  const opened = useFeed((state) => state.opened)
  const scroller = useRef<HTMLDivElement>(null)
  const lines = useMemo(() => linesOf(shown), [shown])
  const virtualizer = useVirtualizer({
    count: lines.length,
    getScrollElement: () => scroller.current,
    estimateSize: (index) => (isHeading(lines[index]) ? HEADING_PIXELS : ROW_PIXELS),
    getItemKey: (index) => {
      const line = lines[index]
      return line === undefined ? index : 'heading' in line ? line.heading : line.alert.alert_id
    },
    overscan: 8,
  })

  const at = lines.findIndex((line) => 'alert' in line && line.alert.alert_id === cursor)
  useEffect(() => {
    if (at >= 0) virtualizer.scrollToIndex(at, { align: 'auto' })
  }, [at, virtualizer])

  return (
    <nav className="feed" aria-labelledby="feed-title">
      <div className="panel-head">
        <h2 id="feed-title" className="only-read">{t('feed.title')}</h2>
        <Filter />
      </div>
      <div className="feed-scroll" ref={scroller} tabIndex={0} role="group" aria-labelledby="feed-title">
        <div className="feed-lines" role="list" style={{ height: virtualizer.getTotalSize() }}>
          {virtualizer.getVirtualItems().map((item) => {
            const line = lines[item.index]
            if (line === undefined) return null
            const style = { transform: `translateY(${item.start}px)`, height: item.size }
            if ('heading' in line)
              return (
                <div key={item.key} className={`feed-heading feed-heading-${line.heading}`} role="listitem" style={style}>
                  <h3>{t(`feed.group.${line.heading}`)}</h3>
                  <b>{line.count}</b>
                  {line.heading === 'decide' && line.count === 0 && <span>{t('feed.emptyDecide')}</span>}
                </div>
              )
            const id = line.alert.alert_id
            return (
              <div key={item.key} className="feed-line" role="listitem" style={style}>
                <FeedRow alert={line.alert} group={line.group} isAt={id === cursor} isOpen={id === opened} />
              </div>
            )
          })}
        </div>
      </div>
    </nav>
  )
}

function isHeading(line: Line | undefined): boolean {
  return line !== undefined && 'heading' in line
}

/** Headings stay where they are; what waits for a decision has one even when nothing does. */
function linesOf(shown: readonly Section[]): Line[] {
  return shown.flatMap(({ group, alerts }): Line[] =>
    alerts.length === 0 && group !== 'decide'
      ? []
      : [{ heading: group, count: alerts.length }, ...alerts.map((alert) => ({ alert, group }))],
  )
}

function Filter(): JSX.Element {
  const { t } = useTranslation()
  const kinds = useFeed((state) => state.kinds)
  const alerts = useFeed((state) => state.alerts)
  const { toggleKind } = useFeed.getState()
  const counts = useMemo(() => {
    const found = new Map<Kind, number>()
    for (const alert of alerts.values())
      if (alert.open) found.set(kindOf(alert), (found.get(kindOf(alert)) ?? 0) + 1)
    return found
  }, [alerts])
  return (
    <div className="feed-filter" role="group" aria-label={t('feed.title')}>
      <button type="button" aria-pressed={kinds.size === 0} onClick={() => toggleKind(null)}>{t('feed.all')}</button>
      {KINDS.map((kind) => (
        <button key={kind} type="button" className={`is-${kind}`} aria-pressed={kinds.has(kind)} onClick={() => toggleKind(kind)}>
          {t(`kind.${kind}`)} <b>{counts.get(kind) ?? 0}</b>
        </button>
      ))}
    </div>
  )
}
