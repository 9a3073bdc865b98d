import { beforeAll, describe, expect, test } from 'vitest'

import { stubBrowser } from './browser'

stubBrowser()

describe('why the hub did something', () => {
  let page: typeof import('../src/i18n')
  beforeAll(async () => {
    page = await import('../src/i18n')
  })

  test('is said in the language that is chosen', () => {
    page.setLanguage('zh')
    expect(page.localizedReason('设备未上传图片', 'the device sent no picture')).toBe('设备未上传图片')
    expect(page.localizedReasons(['当班', '空闲'], ['on shift', 'free'])).toBe('当班 · 空闲')
    page.setLanguage('en')
    expect(page.localizedReason('设备未上传图片', 'the device sent no picture')).toBe('the device sent no picture')
    expect(page.localizedReasons(['当班', '空闲'], ['on shift', 'free'])).toBe('on shift · free')
  })

  test('is said in English where an earlier release wrote it', () => {
    page.setLanguage('zh')
    expect(page.localizedReasons([], ['on shift', 'free'])).toBe('on shift · free')
  })
})
