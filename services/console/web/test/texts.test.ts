import { describe, expect, test } from 'vitest'

import en from '../src/i18n/en.json'
import zh from '../src/i18n/zh.json'

type Texts = { [key: string]: string | Texts }

function keys(texts: Texts, before = ''): string[] {
  return Object.entries(texts).flatMap(([key, value]) =>
    typeof value === 'string' ? [`${before}${key}`] : keys(value, `${before}${key}.`),
  )
}

function text(texts: Texts, key: string): string {
  return key.split('.').reduce<Texts | string>((at, part) => (at as Texts)[part] as Texts | string, texts) as string
}

function placeholders(of: string): string[] {
  return [...of.matchAll(/\{\{(\w+)\}\}/g)].map((each) => each[1] as string).sort()
}

const CODE = Object.values(
  import.meta.glob<string>('../src/**/*.{ts,tsx}', { query: '?raw', import: 'default', eager: true }),
).join('\n')

describe('Chinese and English', () => {
  test('have the same keys', () => {
    expect(keys(zh)).toEqual(keys(en))
  })

  test('fill the same places of every text', () => {
    for (const key of keys(en)) expect([key, placeholders(text(zh, key))]).toEqual([key, placeholders(text(en, key))])
  })

  test('no Chinese text is English by oversight', () => {
    const foreign = keys(zh).filter((key) => text(zh, key) !== '' && !/[\u4e00-\u9fff]/.test(text(zh, key)))
    // Figures and punctuation alone.
    expect(foreign.filter((key) => /[A-Za-z]{2}/.test(text(zh, key).replace(/\{\{\w+\}\}/g, '')))).toEqual([])
  })

  test('every key that the page names exists, and every text is used', () => {
    const named = [...CODE.matchAll(/\bt\(\s*'([\w.-]+)'/g)].map((each) => each[1] as string)
    const prefixes = [...CODE.matchAll(/`([\w.-]+\.)\$\{/g)].map((each) => each[1] as string)
    const chosen = [...CODE.matchAll(/'((?:\w+\.)+[\w-]+)'/g)].map((each) => each[1] as string)
    const all = new Set(keys(en))
    expect(named.filter((key) => !all.has(key))).toEqual([])
    const unused = keys(en).filter(
      (key) => !named.includes(key) && !chosen.includes(key) && !prefixes.some((prefix) => key.startsWith(prefix)),
    )
    expect(unused).toEqual([])
  })
})
