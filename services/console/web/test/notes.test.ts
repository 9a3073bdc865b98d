import { createElement } from 'react'
import { renderToStaticMarkup } from 'react-dom/server'
import { beforeAll, describe, expect, test } from 'vitest'

import type { AlertCard } from '../src/api/types'
import { stubBrowser } from './browser'
import { card, summary } from './sample'

const ESCALATED = {
  escalated_reason: 'no unit of the kind is on shift in the jurisdiction',
  escalated_reason_chinese: '辖区内无该类型当班单位',
}

describe('what the card says of an alert that nobody took', () => {
  let notes: (of: AlertCard, language: 'zh' | 'en') => string

  beforeAll(async () => {
    stubBrowser()
    const { Notes } = await import('../src/card/Notes')
    const { setLanguage } = await import('../src/i18n')
    notes = (of, language) => {
      setLanguage(language)
      return renderToStaticMarkup(createElement(Notes, { card: of }))
    }
  })

  test.each([
    ['zh', '尚无单位接警：辖区内无该类型当班单位'],
    ['en', 'Nobody has it: no unit of the kind is on shift in the jurisdiction'],
  ] as const)('%s: why', (language, said) => {
    expect(notes(card({ summary: summary({ status: 'escalated' }), ...ESCALATED }), language)).toContain(said)
  })

  test('no longer, once somebody has been sent', () => {
    expect(notes(card({ summary: summary({ status: 'dispatching' }), ...ESCALATED }), 'en')).toBe('')
  })

  test('nothing of a reason that an earlier release did not keep', () => {
    expect(notes(card({ summary: summary({ status: 'escalated' }) }), 'en')).toBe('')
  })
})
