import { useEffect, useRef } from 'react'

/** Whether a key typed there is text, or belongs to what has the focus. */
export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false
  return target.isContentEditable || target.closest('input:not([type=checkbox]), textarea, select, [role=combobox]') !== null
}

/** A dialog owns the keyboard while it is open. */
export function isInDialog(): boolean {
  return document.querySelector('dialog[open]') !== null
}

/** Calls the handler of a key pressed outside of fields and dialogs. A handler that returns false did not want it. */
export function useKeys(handlers: Record<string, (event: KeyboardEvent) => boolean | void>): void {
  const newest = useRef(handlers)
  newest.current = handlers
  useEffect(() => {
    function press(event: KeyboardEvent): void {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || event.repeat && event.key === 'c') return
      if (isTyping(event.target) || isInDialog()) return
      const handler = newest.current[event.key]
      if (handler !== undefined && handler(event) !== false) event.preventDefault()
    }
    window.addEventListener('keydown', press)
    return () => window.removeEventListener('keydown', press)
  }, [])
}
