import type { JSX } from 'react'
import { useTranslation } from 'react-i18next'

import { type Language, language, setLanguage } from '../i18n'

const NAMES: readonly (readonly [Language, string, string])[] = [
  ['zh', '中文', 'zh-CN'],
  ['en', 'EN', 'en'],
]

export function LanguageSwitch(): JSX.Element {
  const { t } = useTranslation()
  return (
    <div className="switch" role="group" aria-label={t('top.language')}>
      {NAMES.map(([code, name, tag]) => (
        <button
          key={code}
          type="button"
          lang={tag}
          aria-pressed={language() === code}
          onClick={() => setLanguage(code)}
        >
          {name}
        </button>
      ))}
    </div>
  )
}
