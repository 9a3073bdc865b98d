import { NoAnswer, Problem } from '../api/problem'
import { i18next, localized, word } from '../i18n'

/** Why something failed; what the hub said in its own words comes after it. Both in the office's language. */
export function problemText(error: unknown): string {
  if (error instanceof NoAnswer) return i18next.t('signIn.unreachable')
  if (!(error instanceof Problem)) return i18next.t('problem.other', { status: '?' })
  const known = word(`problem.${error.status}`, i18next.t('problem.other', { status: error.status }))
  const detail = localized(error.detail)
  return detail ? `${known} (${detail})` : known
}
