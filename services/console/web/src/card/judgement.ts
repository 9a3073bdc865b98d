import type { AlertCard } from '../api/types'

/** What moved between what the operator saw and what is now. */
export type Move = 'status' | 'entry' | 'rule' | 'person' | 'severity' | 'sightings_to_confirm' | 'evidence' | 'assignment'

/**
 * What of that which was being judged is different. Empty: the same vehicle was merely seen again, and what was
 * ticked still holds.
 */
export function moves(seen: AlertCard, now: AlertCard): Move[] {
  const found: Move[] = []
  const one = seen.summary
  const other = now.summary
  if (one.status !== other.status) found.push('status')
  if (seen.entry_id !== now.entry_id || seen.entry_version !== now.entry_version) found.push('entry')
  if (seen.rule_version !== now.rule_version) found.push('rule')
  if (one.names_person !== other.names_person || one.supervisor_required !== other.supervisor_required)
    found.push('person')
  if (one.severity !== other.severity) found.push('severity')
  if (one.sightings_to_confirm !== other.sightings_to_confirm) found.push('sightings_to_confirm')
  if (one.has_picture !== other.has_picture || seen.evidence_missing_reason !== now.evidence_missing_reason)
    found.push('evidence')
  if (one.unit_id !== other.unit_id || one.assignment_status !== other.assignment_status) found.push('assignment')
  return found
}

/** Whether the operator judged the same thing: only then may ticks stay. */
export function sameJudgement(seen: AlertCard, now: AlertCard): boolean {
  const items = (card: AlertCard): string => card.checklist.map((each) => each.item).join('\n')
  return moves(seen, now).length === 0 && items(seen) === items(now)
}

/** Whether every item was ticked, one by one. */
export function allTicked(card: AlertCard, ticked: ReadonlySet<string>): boolean {
  return card.checklist.every((each) => ticked.has(each.item))
}
