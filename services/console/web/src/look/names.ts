import type { AlertSummary } from '../api/types'
import { word } from '../i18n'

/** What an alert is called: its category, or what its rule watches. */
export function alertName(alert: Pick<AlertSummary, 'category' | 'rule_kind'>): string {
  if (!alert.category) return word(`ruleKind.${alert.rule_kind}`, alert.rule_kind)
  return word(`category.${alert.category}`, alert.category.replaceAll('_', ' '))
}

/** Whom the hub names as person:NAME, as people say it. */
export function personName(actor: string): string {
  return actor.replace(/^person:/, '')
}

/** An id that is short enough to say over the radio. */
export function shortId(id: string): string {
  return id.length > 8 ? id.slice(0, 8) : id
}
