import type { AlertCard, OtherPlace, Sighting } from '../api/types'

/** How much a reason carries: `good` as it should be, `look` compare closely, `weak` do not rely on it, `plain` neither. */
export type Weight = 'good' | 'look' | 'weak' | 'plain'

export type Why =
  | { what: 'rule'; weight: Weight; id: string; version: number }
  | { what: 'entry'; weight: Weight; id: string; version: number }
  | { what: 'mask'; weight: Weight; mask: string; code: 'exact' | 'confusable' | 'no-province' | 'wildcard' }
  | { what: 'places'; weight: Weight; here: string; other: OtherPlace; apartMs: number }
  | { what: 'confidence'; weight: Weight; percent: number | null }
  | { what: 'clock'; weight: Weight; uncertaintyMs: number }
  | { what: 'device'; weight: Weight; authentication: Sighting['authentication_class'] }

/** A read below this is often another plate. */
const SURE_PERCENT = 90
const UNSURE_PERCENT = 75
/** A vehicle is a street further after this long; after the second it is anywhere. */
const CLOCK_GOOD_MS = 2_000
const CLOCK_WEAK_MS = 30_000

/** Why this alert fired, by its newest sighting, in the order in which an operator asks. */
export function whyOf(card: AlertCard, sighting: Sighting | undefined): Why[] {
  const found: Why[] = [
    { what: 'rule', weight: 'plain', id: card.summary.rule_id, version: card.rule_version },
  ]
  if (card.entry_id !== null)
    found.push({ what: 'entry', weight: 'plain', id: card.entry_id, version: card.entry_version ?? 0 })
  if (sighting === undefined) return found
  if (sighting.other_place !== null)
    found.push({
      what: 'places',
      // Two plates that look alike to a camera are the likelier reason.
      weight: 'look',
      here: sighting.device_id,
      other: sighting.other_place,
      apartMs: sighting.corrected_time_ms - sighting.other_place.corrected_time_ms,
    })
  if (sighting.mask !== null) found.push(maskOf(sighting.mask))
  if (sighting.mask !== null || sighting.read_confidence !== null) found.push(confidenceOf(sighting.read_confidence))
  found.push({
    what: 'clock',
    weight: weighted(sighting.clock_uncertainty_ms, CLOCK_GOOD_MS, CLOCK_WEAK_MS),
    uncertaintyMs: sighting.clock_uncertainty_ms,
  })
  found.push({
    what: 'device',
    weight: ['certificate', 'password_over_tls'].includes(sighting.authentication_class) ? 'good' : 'weak',
    authentication: sighting.authentication_class,
  })
  return found
}

function maskOf(mask: string): Why {
  if (mask === 'exact') return { what: 'mask', weight: 'good', mask, code: 'exact' }
  if (mask === 'confusable' || mask === 'no-province') return { what: 'mask', weight: 'look', mask, code: mask }
  return { what: 'mask', weight: 'look', mask, code: 'wildcard' }
}

function confidenceOf(confidence: number | null): Why {
  if (confidence === null) return { what: 'confidence', weight: 'look', percent: null }
  const percent = Math.round(confidence * 100)
  const weight = percent >= SURE_PERCENT ? 'good' : percent >= UNSURE_PERCENT ? 'look' : 'weak'
  return { what: 'confidence', weight, percent }
}

function weighted(value: number, good: number, weak: number): Weight {
  return value <= good ? 'good' : value < weak ? 'look' : 'weak'
}

/** The weakest link decides how the whole is told. */
export function verdict(why: readonly Why[]): Weight {
  const weights = new Set(why.map((each) => each.weight))
  return weights.has('weak') ? 'weak' : weights.has('look') ? 'look' : 'good'
}
