import { describe, expect, test } from 'vitest'

import { ENDED_KEPT, groupOf, inOrder, kindOf, neighbour, sections, withAlert, withSnapshot } from '../src/feed/alerts'
import { summary } from './sample'

const NONE = new Map()

describe('what the page has of the alerts', () => {
  test('an older version or the same one changes nothing, so that a repeated event is not seen twice', () => {
    const known = withAlert(NONE, summary({ version: 3, status: 'dispatching' }))
    expect(withAlert(known, summary({ version: 3 }))).toBe(known)
    expect(withAlert(known, summary({ version: 2 }))).toBe(known)
    expect(withAlert(known, summary({ version: 4, status: 'accepted' })).get('a1')?.status).toBe('accepted')
  })

  test('a snapshot takes away what is open no longer, and leaves what had ended', () => {
    const before = [summary(), summary({ alert_id: 'a2' }), summary({ alert_id: 'a3', open: false, status: 'closed' })]
    const known = before.reduce(withAlert, NONE)
    expect([...withSnapshot(known, [summary({ alert_id: 'a2', version: 5 })]).keys()].sort()).toEqual(['a2', 'a3'])
  })

  test('a snapshot does not take back a newer version', () => {
    const known = withAlert(NONE, summary({ version: 9, status: 'accepted' }))
    expect(withSnapshot(known, [summary({ version: 8 })]).get('a1')?.status).toBe('accepted')
  })

  test('of those that ended only the newest are remembered', () => {
    let known: ReturnType<typeof withAlert> = NONE
    for (let index = 0; index < ENDED_KEPT + 5; index += 1)
      known = withAlert(known, summary({ alert_id: `a${index}`, open: false, status: 'closed', closed_at_ms: index }))
    expect(known.size).toBe(ENDED_KEPT)
    expect(known.has('a4')).toBe(false)
    expect(known.has('a5')).toBe(true)
  })
})

describe('how the feed is ordered', () => {
  test('whatever identifier hit, an entry that names a person makes it a person alert', () => {
    expect(kindOf(summary({ names_person: true }))).toBe('person')
    expect(kindOf(summary({ names_person: true, rule_kind: 'dwell' }))).toBe('person')
    expect(kindOf(summary())).toBe('vehicle')
    expect(kindOf(summary({ rule_kind: 'direct_call' }))).toBe('call')
  })

  test.each([
    [{ status: 'awaiting_confirmation' as const }, 'decide'],
    [{ status: 'escalated' as const }, 'decide'],
    [{ status: 'accepted' as const, sightings_to_confirm: 1 }, 'decide'],
    [{ status: 'dispatching' as const, call_by_radio: true }, 'decide'],
    [{ status: 'dispatching' as const }, 'underway'],
    [{ status: 'closed' as const, open: false, call_by_radio: true }, 'ended'],
  ])('%o is in %s', (change, group) => {
    expect(groupOf(summary(change))).toBe(group)
  })

  test('the gravest first, then persons, then who waits longest', () => {
    const alerts = [
      summary({ alert_id: 'young', opened_at_ms: 9 }),
      summary({ alert_id: 'old', opened_at_ms: 1 }),
      summary({ alert_id: 'person', opened_at_ms: 99, names_person: true }),
      summary({ alert_id: 'grave', opened_at_ms: 50, severity: 'critical' }),
    ]
    expect(inOrder('decide', alerts).map((each) => each.alert_id)).toEqual(['grave', 'person', 'old', 'young'])
  })

  test('j and k stop at the ends and begin at the top where the row is gone', () => {
    const alerts = new Map(['a', 'b', 'c'].map((id, index) => [id, summary({ alert_id: id, opened_at_ms: index })]))
    const shown = sections(alerts, new Set())
    expect(neighbour(shown, null, 1)).toBe('a')
    expect(neighbour(shown, 'a', 1)).toBe('b')
    expect(neighbour(shown, 'c', 1)).toBe('c')
    expect(neighbour(shown, 'a', -1)).toBe('a')
    expect(neighbour(shown, 'gone', 1)).toBe('a')
    expect(neighbour([], null, 1)).toBeNull()
  })

  test('a filter hides the other kinds', () => {
    const alerts = new Map([
      ['p', summary({ alert_id: 'p', names_person: true })],
      ['v', summary({ alert_id: 'v' })],
    ])
    const shown = sections(alerts, new Set(['person'] as const)).flatMap((each) => each.alerts)
    expect(shown.map((each) => each.alert_id)).toEqual(['p'])
  })
})
