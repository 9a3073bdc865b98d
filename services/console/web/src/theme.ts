import { theme, type ThemeConfig } from 'antd'

/** For rooms that are dark at night: little light, and colour only where it says something. */
export const nightTheme: ThemeConfig = {
  algorithm: [theme.darkAlgorithm, theme.compactAlgorithm],
  token: {
    colorPrimary: '#2f81f7',
    colorBgBase: '#0b1017',
    colorBgContainer: '#0f151e',
    colorBgElevated: '#161e2a',
    colorText: '#dbe4ee',
    colorTextPlaceholder: '#8696a8',
    colorTextDisabled: '#93a1b2',
    colorBorder: '#37465a',
    colorError: '#ff5a52',
    colorSuccess: '#3fbf6f',
    colorWarning: '#e5b93c',
    borderRadius: 4,
    fontSize: 14,
    fontFamily: 'var(--font)',
    motion: false,
  },
}

/** The nonce with which the page's policy lets Ant Design add styles. */
export function styleNonce(): string {
  return document.querySelector<HTMLMetaElement>('meta[property=csp-nonce]')?.nonce ?? ''
}
