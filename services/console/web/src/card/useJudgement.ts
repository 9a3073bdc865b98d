import { useCallback, useState } from 'react'

import type { AlertCard } from '../api/types'
import { type Move, moves, sameJudgement } from './judgement'

interface Judgement {
  seen: AlertCard
  ticked: ReadonlySet<string>
  /** What moved under the operator, until they have said that they saw it. */
  moved: readonly Move[]
  /** Counts up where what was opened is no longer the evidence of what is shown. */
  evidence: number
}

const NONE: ReadonlySet<string> = new Set()
const OTHER_EVIDENCE: readonly Move[] = ['entry', 'evidence', 'sightings_to_confirm']

/**
 * What the operator sees and has ticked of it. A newer card is shown at once; where it is not the same thing that was
 * being judged, the ticks come off and it is said.
 */
export function useJudgement(): {
  judgement: Judgement | null
  take: (card: AlertCard, byThisDesk?: boolean) => void
  tick: (item: string, on: boolean) => void
  acknowledge: () => void
  /** Takes every tick off. */
  release: () => void
} {
  const [judgement, setJudgement] = useState<Judgement | null>(null)

  const take = useCallback((card: AlertCard, byThisDesk = false) => {
    setJudgement((now) => {
      if (now === null) return { seen: card, ticked: NONE, moved: [], evidence: 0 }
      if (card.summary.version < now.seen.summary.version) return now
      if (sameJudgement(now.seen, card)) return { ...now, seen: card }
      const found = moves(now.seen, card)
      const judging = now.seen.actions.includes('confirm')
      const other = found.some((each) => OTHER_EVIDENCE.includes(each))
      return {
        seen: card,
        ticked: NONE,
        // What this desk itself did is told by the hub's answer to it.
        moved: byThisDesk || !judging ? now.moved : [...new Set([...now.moved, ...found])],
        evidence: other ? now.evidence + 1 : now.evidence,
      }
    })
  }, [])

  const tick = useCallback((item: string, on: boolean) => {
    setJudgement((now) => {
      if (now === null) return now
      const ticked = new Set(now.ticked)
      if (on) ticked.add(item)
      else ticked.delete(item)
      return { ...now, ticked }
    })
  }, [])

  const acknowledge = useCallback(() => setJudgement((now) => now && { ...now, moved: [] }), [])
  const release = useCallback(() => setJudgement((now) => now && { ...now, ticked: NONE }), [])
  return { judgement, take, tick, acknowledge, release }
}
