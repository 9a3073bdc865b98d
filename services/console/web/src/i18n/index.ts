import i18next from 'i18next'
import { initReactI18next } from 'react-i18next'

import type { LocalizedText } from '../api/types'
import en from './en.json'
import zh from './zh.json'

export type Language = 'zh' | 'en'
const STORED = 'alerthub.language'

function first(): Language {
  const stored = localStorage.getItem(STORED)
  if (stored === 'zh' || stored === 'en') return stored
  return navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en'
}

void i18next.use(initReactI18next).init({
  lng: first(),
  fallbackLng: false,
  resources: { zh: { translation: zh }, en: { translation: en } },
  interpolation: { escapeValue: false },
  // All texts are in the page: there is nothing to wait for.
  initAsync: false,
  showSupportNotice: false,
} as Parameters<typeof i18next.init>[0])

function tellDocument(language: string): void {
  document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en'
}
tellDocument(i18next.language)
i18next.on('languageChanged', tellDocument)

export function language(): Language {
  return i18next.language === 'zh' ? 'zh' : 'en'
}

export function setLanguage(chosen: Language): void {
  localStorage.setItem(STORED, chosen)
  void i18next.changeLanguage(chosen)
}

/** The office's language where the text has it, else the other one. */
export function localized(text: LocalizedText): string {
  return language() === 'zh' ? text.chinese || text.english : text.english || text.chinese
}

/** Why the hub did something, in the office's language; what has one language alone as it is. */
export function localizedReason(chinese: string, english: string): string {
  return localized({ chinese, english })
}

/** The same of several reasons, one Chinese text for each English one or none. */
export function localizedReasons(chinese: readonly string[], english: readonly string[]): string {
  return english.map((each, index) => localizedReason(chinese[index] ?? '', each)).join(' · ')
}

/** The text of a key that depends on data; `otherwise` where the hub has a value that this page has no word for. */
export function word(key: string, otherwise: string): string {
  return i18next.exists(key) ? i18next.t(key) : otherwise
}

export { i18next }
