import type { AlertSummary, Severity } from '../api/types'

export type Alerts = ReadonlyMap<string, AlertSummary>

/** Ended alerts that the page remembers, newest first. */
export const ENDED_KEPT = 100

export type Kind = 'person' | 'vehicle' | 'zone' | 'call' | 'other'

/** What an alert is about. Whatever identifier hit, an entry that names a person makes it a person's (refusal 6). */
export function kindOf(alert: Pick<AlertSummary, 'names_person' | 'rule_kind'>): Kind {
  if (alert.names_person) return 'person'
  switch (alert.rule_kind) {
    case 'watchlist_hit':
    case 'cloned_plate':
      return 'vehicle'
    case 'dwell':
      return 'zone'
    case 'direct_call':
      return 'call'
    default:
      return 'other'
  }
}

/** Takes one alert unless the page has this version of it or a newer one. */
export function withAlert(alerts: Alerts, alert: AlertSummary): Alerts {
  const known = alerts.get(alert.alert_id)
  if (known !== undefined && known.version >= alert.version) return alerts
  return bounded(new Map(alerts).set(alert.alert_id, alert))
}

/** The snapshot has every open alert: what the page had as open and is not in it is open no longer. */
export function withSnapshot(alerts: Alerts, open: readonly AlertSummary[]): Alerts {
  const named = new Set(open.map((each) => each.alert_id))
  const kept = new Map([...alerts].filter(([id, alert]) => !alert.open || named.has(id)))
  return open.reduce<Alerts>(withAlert, kept)
}

function bounded(alerts: Map<string, AlertSummary>): Alerts {
  const ended = [...alerts.values()].filter((each) => !each.open)
  if (ended.length <= ENDED_KEPT) return alerts
  const oldest = ended.sort((one, other) => endOf(other) - endOf(one)).slice(ENDED_KEPT)
  for (const each of oldest) alerts.delete(each.alert_id)
  return alerts
}

function endOf(alert: AlertSummary): number {
  return alert.closed_at_ms ?? alert.opened_at_ms
}

export type Group = 'decide' | 'underway' | 'ended'

/** What an alert asks of the office now. */
export function groupOf(alert: AlertSummary): Group {
  if (!alert.open) return 'ended'
  const waits = alert.status === 'awaiting_confirmation' || alert.status === 'escalated'
  return waits || alert.sightings_to_confirm > 0 || alert.call_by_radio ? 'decide' : 'underway'
}

const WEIGHT: Record<Severity, number> = { critical: 3, major: 2, minor: 1, information: 0 }

/** To decide: the gravest first, persons before things, then who waits longest. Others: the newest first. */
export function inOrder(group: Group, alerts: readonly AlertSummary[]): AlertSummary[] {
  const order: Record<Group, (one: AlertSummary, other: AlertSummary) => number> = {
    decide: (one, other) =>
      WEIGHT[other.severity] - WEIGHT[one.severity] ||
      Number(other.names_person) - Number(one.names_person) ||
      one.opened_at_ms - other.opened_at_ms,
    underway: (one, other) => other.opened_at_ms - one.opened_at_ms,
    ended: (one, other) => endOf(other) - endOf(one),
  }
  return [...alerts].sort((one, other) => order[group](one, other) || (one.alert_id < other.alert_id ? -1 : 1))
}

export interface Section {
  group: Group
  alerts: AlertSummary[]
}

const GROUPS: readonly Group[] = ['decide', 'underway', 'ended']

/** The feed as it is shown. */
export function sections(alerts: Alerts, kinds: ReadonlySet<Kind>): Section[] {
  const shown = [...alerts.values()].filter((each) => kinds.size === 0 || kinds.has(kindOf(each)))
  return GROUPS.map((group) => ({ group, alerts: inOrder(group, shown.filter((each) => groupOf(each) === group)) }))
}

/** The id `steps` further down (or up), starting at the top where the present one is not shown. */
export function neighbour(shown: readonly Section[], selected: string | null, steps: 1 | -1): string | null {
  const ids = shown.flatMap((section) => section.alerts.map((each) => each.alert_id))
  const at = selected === null ? -1 : ids.indexOf(selected)
  if (at < 0) return ids[0] ?? null
  return ids[Math.min(ids.length - 1, Math.max(0, at + steps))] ?? null
}
