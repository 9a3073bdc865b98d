import type { JSX } from 'react'

import type { Kind } from '../feed/alerts'

/** A shape of its own for each kind: colour alone would not do. */
const SHAPES: Record<Kind, JSX.Element> = {
  person: (
    <>
      <circle cx="12" cy="7.500" r="4" />
      <path d="M4 21c0-5 3.500-8 8-8s8 3 8 8z" />
    </>
  ),
  vehicle: <path d="M4 17v-4.500L6.200 7.200A2 2 0 0 1 8 6h8a2 2 0 0 1 1.800 1.200L20 12.500V17a1 1 0 0 1-1 1h-1.500v1.500h-3V18h-5v1.500h-3V18H5a1 1 0 0 1-1-1zm3-5h10l-1.300-3.500H8.300zm.500 3.700a1.200 1.200 0 1 0 0-2.400 1.200 1.200 0 0 0 0 2.400zm9 0a1.200 1.200 0 1 0 0-2.400 1.200 1.200 0 0 0 0 2.400z" fillRule="evenodd" />,
  zone: <path d="M12 2.500 20.500 7.300v9.400L12 21.500 3.500 16.700V7.300zm0 3.200-5.700 3.200v6.200l5.700 3.200 5.700-3.200V8.900z" fillRule="evenodd" />,
  call: <path d="M6.600 3h3l1.500 4.500-2 1.600c1 2.300 2.800 4.100 5.100 5.100l1.600-2 4.500 1.500v3c0 1.200-1 2.200-2.200 2.100C10.700 18.300 5.700 13.300 4.500 5.200 4.400 4 5.400 3 6.600 3z" />,
  other: <path d="M12 3 22 20H2zm-1 6v6h2V9zm0 7.500v2h2v-2z" fillRule="evenodd" />,
}

export function KindMark({ kind, size = 22 }: { kind: Kind; size?: number }): JSX.Element {
  return (
    <svg aria-hidden="true" className="kind-mark" height={size} width={size} viewBox="0 0 24 24" fill="currentColor">
      {SHAPES[kind]}
    </svg>
  )
}
