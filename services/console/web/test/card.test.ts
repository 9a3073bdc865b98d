import { describe, expect, test } from 'vitest'

import { allTicked, moves, sameJudgement } from '../src/card/judgement'
import { verdict, whyOf } from '../src/card/why'
import { card, sighting, summary } from './sample'

describe('why it fired', () => {
  const weights = (change: Parameters<typeof sighting>[0]): Record<string, string> =>
    Object.fromEntries(whyOf(card(), sighting(change)).map((each) => [each.what, each.weight]))

  test('an exact, sure read of a device with a secret has nothing weak', () => {
    expect(verdict(whyOf(card(), sighting()))).toBe('good')
  })

  test.each([
    [{ mask: 'confusable' }, 'mask', 'look'],
    [{ mask: '1110111' }, 'mask', 'look'],
    [{ read_confidence: 0.8 }, 'confidence', 'look'],
    [{ read_confidence: 0.5 }, 'confidence', 'weak'],
    [{ read_confidence: null }, 'confidence', 'look'],
    [{ clock_uncertainty_ms: 60_000 }, 'clock', 'weak'],
    [{ authentication_class: 'url_token' as const }, 'device', 'weak'],
    [{ authentication_class: 'network_only' as const }, 'device', 'weak'],
    [{ authentication_class: 'certificate' as const }, 'device', 'good'],
  ])('%o makes the %s %s', (change, what, weight) => {
    expect(weights(change)[what]).toBe(weight)
  })

  test('the weakest reason decides how the whole is told', () => {
    expect(verdict(whyOf(card(), sighting({ mask: 'confusable', read_confidence: 0.2 })))).toBe('weak')
  })

  test('names both places of a plate that cannot have been at both', () => {
    const other_place = {
      device_id: 'camera-1',
      position: { latitude: 38, longitude: 114.5 },
      corrected_time_ms: sighting().corrected_time_ms - 60_000,
      clock_uncertainty_ms: 500,
      distance_metres: 33_400,
      speed_kmh: 1_970,
      maximum_speed_kmh: 150,
    }
    const why = whyOf(card(), sighting({ mask: null, other_place }))
    expect(why.find((each) => each.what === 'places')).toMatchObject({ here: sighting().device_id, other: other_place, apartMs: 60_000 })
    expect(verdict(why)).toBe('look')
  })

  test('rule, entry and their versions are named', () => {
    const why = whyOf(card({ rule_version: 4, entry_version: 7 }), undefined)
    expect(why).toEqual([
      { what: 'rule', weight: 'plain', id: 'listed-vehicle', version: 4 },
      { what: 'entry', weight: 'plain', id: 'e1', version: 7 },
    ])
  })
})

describe('what the operator judged', () => {
  test('the same vehicle seen again is the same judgement', () => {
    const again = card({ summary: summary({ version: 2, sighting_count: 2 }), sightings: [sighting(), sighting()] })
    expect(sameJudgement(card(), again)).toBe(true)
  })

  test.each([
    ['status', { summary: summary({ status: 'cancelled' }) }],
    ['entry', { entry_version: 2 }],
    ['rule', { rule_version: 2 }],
    ['person', { summary: summary({ names_person: true }) }],
    ['severity', { summary: summary({ severity: 'critical' }) }],
    ['sightings_to_confirm', { summary: summary({ sightings_to_confirm: 1 }) }],
    ['evidence', { summary: summary({ has_picture: false }) }],
    ['assignment', { summary: summary({ unit_id: 'patrol-1' }) }],
  ] as const)('another %s is another judgement', (move, change) => {
    expect(moves(card(), card(change))).toContain(move)
    expect(sameJudgement(card(), card(change))).toBe(false)
  })

  test('another checklist is another judgement', () => {
    expect(sameJudgement(card(), card({ checklist: [] }))).toBe(false)
  })

  test('confirming needs every item', () => {
    expect(allTicked(card(), new Set(['opened']))).toBe(false)
    expect(allTicked(card(), new Set(['opened', 'read_matches']))).toBe(true)
    expect(allTicked(card(), new Set(['opened', 'another']))).toBe(false)
  })
})
