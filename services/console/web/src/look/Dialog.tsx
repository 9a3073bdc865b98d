import { type JSX, type ReactNode, useEffect, useId, useRef } from 'react'

interface Props {
  title: string
  close: () => void
  children: ReactNode
  footer?: ReactNode
  wide?: boolean
}

/**
 * The browser's own dialog: it keeps the focus inside, closes on Escape and gives the focus back. Ant Design's adds a
 * style without the nonce, which the page's policy refuses.
 */
export function Dialog({ title, close, children, footer, wide = false }: Props): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null)
  const id = useId()
  useEffect(() => {
    const shown = dialog.current
    if (shown === null) return undefined
    shown.showModal()
    shown.querySelector<HTMLElement>('[data-first]')?.focus()
    return () => shown.close()
  }, [])
  return (
    <dialog
      ref={dialog}
      className={wide ? 'dialog dialog-wide' : 'dialog'}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault()
        close()
      }}
      onClick={(event) => {
        if (event.target === dialog.current) close()
      }}
    >
      <div className="dialog-box">
        <h2 id={id}>{title}</h2>
        {children}
        {footer !== undefined && <div className="dialog-footer">{footer}</div>}
      </div>
    </dialog>
  )
}
