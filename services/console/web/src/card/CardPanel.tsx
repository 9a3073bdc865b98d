import { useQuery } from '@tanstack/react-query'
import { Button } from 'antd'
import { type JSX, useEffect, useRef } from 'react'
import { useTranslation } from 'react-i18next'

import { answer, client } from '../api/client'
import type { AlertCard, SessionView } from '../api/types'
import { useFeed } from '../feed/store'
import { problemText } from '../look/problemText'
import { Card } from './Card'
import { useJudgement } from './useJudgement'

/** One for each alert that is opened: nothing of the one before stays. */
export function CardPanel({ alertId, session }: { alertId: string | null; session: SessionView }): JSX.Element {
  const { t } = useTranslation()
  return (
    <section className="card" aria-label={t('card.title')}>
      {alertId === null ? (
        <div className="card-none">
          <p>{t('card.none')}</p>
          <p>{t('card.noneHint')}</p>
        </div>
      ) : (
        <Loaded alertId={alertId} session={session} />
      )}
    </section>
  )
}

function Loaded({ alertId, session }: { alertId: string; session: SessionView }): JSX.Element {
  const { t } = useTranslation()
  const told = useFeed((state) => state.alerts.get(alertId)?.version)
  const live = useFeed((state) => state.live)
  const { judgement, take, tick, acknowledge, release } = useJudgement()
  const query = useQuery({
    queryKey: ['card', alertId],
    queryFn: () =>
      answer<AlertCard>(client.GET('/api/alerts/{alert_id}', { params: { path: { alert_id: alertId } } })),
    staleTime: 0,
    gcTime: 0,
    retry: 2,
    retryDelay: 1_000,
  })
  const { data, refetch } = query

  useEffect(() => {
    if (data === undefined) return
    take(data)
    useFeed.getState().take(data.summary)
  }, [data, take])

  // The stream says that there is a newer one; after a gap it may have missed to.
  const has = useRef(0)
  has.current = judgement?.seen.summary.version ?? 0
  useEffect(() => {
    if (told !== undefined && has.current > 0 && told > has.current) void refetch()
  }, [told, refetch])
  useEffect(() => {
    if (live && has.current > 0) void refetch()
  }, [live, refetch])

  if (judgement === null)
    return query.isError ? (
      <div className="card-none" role="alert">
        <p>{t('card.failed', { detail: problemText(query.error) })}</p>
        <Button onClick={() => void refetch()}>{t('card.retry')}</Button>
      </div>
    ) : (
      <div className="card-none" role="status">{t('card.loading')}</div>
    )
  return (
    <Card
      card={judgement.seen}
      ticked={judgement.ticked}
      moved={judgement.moved}
      evidence={judgement.evidence}
      session={session}
      tick={tick}
      acknowledge={acknowledge}
      taken={(card) => {
        take(card, true)
        useFeed.getState().take(card.summary)
      }}
      stale={() => {
        // What was ticked was ticked of something else, however alike it looks.
        release()
        void refetch()
      }}
    />
  )
}
