import { createElement } from 'react'
import { renderToStaticMarkup } from 'react-dom/server'
import { beforeAll, describe, expect, test } from 'vitest'

import { Problem } from '../src/api/problem'
import { stubBrowser } from './browser'

const BODY = { detail: 'alert_id: expected an open alert: this one is closed', detail_chinese: '该警情已办结' }

describe('why the hub refused', () => {
  let page: typeof import('../src/i18n')
  let refused: () => string
  let problemText: (error: unknown) => string

  beforeAll(async () => {
    stubBrowser()
    page = await import('../src/i18n')
    problemText = (await import('../src/look/problemText')).problemText
    const { CommandResult } = await import('../src/card/CommandResult')
    const { detail, status } = new Problem(409, BODY, null)
    const state = { phase: 'refused', name: 'confirm', status, detail, retryAfterSeconds: null } as const
    refused = () => renderToStaticMarkup(createElement(CommandResult, { state, clear: () => undefined }))
  })

  test('a command: in the language that is chosen, also when it is chosen afterwards', () => {
    page.setLanguage('zh')
    expect(refused()).toContain('当前状态下不能执行: 该警情已办结')
    expect(refused()).not.toContain('expected')
    page.setLanguage('en')
    expect(refused()).toContain('this one is closed')
    expect(refused()).not.toMatch(/[\u4e00-\u9fff]/)
  })

  test('a look: in the language that is chosen', () => {
    page.setLanguage('zh')
    expect(problemText(new Problem(403, { ...BODY, detail_chinese: '须由值班长操作' }, null))).toBe(
      '您的角色不允许 (须由值班长操作)',
    )
  })

  test('in English where an earlier release had no Chinese', () => {
    page.setLanguage('zh')
    expect(problemText(new Problem(409, { detail: 'an open alert' }, null))).toContain('an open alert')
  })
})
