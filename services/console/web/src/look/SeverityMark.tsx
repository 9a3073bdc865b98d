import type { JSX } from 'react'
import { useTranslation } from 'react-i18next'

import type { Severity } from '../api/types'

const STEPS: Record<Severity, number> = { information: 1, minor: 2, major: 3, critical: 4 }

/** As many bars as it is grave. */
export function SeverityMark({ severity, named = false }: { severity: Severity; named?: boolean }): JSX.Element {
  const { t } = useTranslation()
  const name = t(`severity.${severity}`)
  return (
    <span className={`severity severity-${severity}`} title={name}>
      <span aria-hidden="true" className="severity-bars">
        {[1, 2, 3, 4].map((step) => (
          <i key={step} className={step <= STEPS[severity] ? 'on' : ''} />
        ))}
      </span>
      <span className={named ? '' : 'only-read'}>{name}</span>
    </span>
  )
}
