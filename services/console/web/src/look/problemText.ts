import { NoAnswer, Problem } from '../api/problem'
import { i18next, word } from '../i18n'

/** Why something failed, in the office's language; what the hub said in its own words comes after it. */
export function problemText(error: unknown): string {
  if (error instanceof NoAnswer) return i18next.t('signIn.unreachable')
  if (!(error instanceof Problem)) return i18next.t('problem.other', { status: '?' })
  const known = word(`problem.${error.status}`, i18next.t('problem.other', { status: error.status }))
  return error.detail ? `${known} (${error.detail})` : known
}
