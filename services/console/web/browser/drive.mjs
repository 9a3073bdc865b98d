// A browser that a test drives: each line on standard input is {"desk", "code"}, each line of the answer {"value"} or
// {"error"}. The code is the body of an async function of `page`, `context` and `seen`.
import { createInterface } from 'node:readline'

import { chromium } from 'playwright-core'

const [executablePath, address] = process.argv.slice(2)
const AsyncFunction = Object.getPrototypeOf(async () => undefined).constructor

const browser = await chromium.launch({
  executablePath,
  args: [
    '--no-sandbox',
    '--use-angle=swiftshader',
    '--enable-unsafe-swiftshader',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
})
const desks = new Map()

/** A desk is a browser of its own: its cookies, and what it has seen. */
async function desk(name, options) {
  const found = desks.get(name)
  if (found !== undefined) return found
  const context = await browser.newContext({
    baseURL: address,
    // The hub's own authority signed its certificate; a test's browser does not know it.
    ignoreHTTPSErrors: true,
    viewport: { width: 1440, height: 900 },
    locale: 'en-US',
    timezoneId: 'Asia/Shanghai',
    reducedMotion: 'reduce',
    ...options,
  })
  context.setDefaultTimeout(15_000)
  const seen = { violations: [], errors: [], requests: [] }
  await context.exposeBinding('noteViolation', (_, violation) => seen.violations.push(violation))
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) =>
      window.noteViolation(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`),
    )
  })
  const page = await context.newPage()
  page.on('request', (request) => seen.requests.push(request.url()))
  page.on('pageerror', (error) => seen.errors.push(String(error)))
  const made = { page, context, seen }
  desks.set(name, made)
  return made
}

for await (const line of createInterface({ input: process.stdin })) {
  const { desk: name, code, options } = JSON.parse(line)
  try {
    const { page, context, seen } = await desk(name, options)
    const value = await new AsyncFunction('page', 'context', 'seen', code)(page, context, seen)
    process.stdout.write(`${JSON.stringify({ value: value ?? null })}\n`)
  } catch (error) {
    process.stdout.write(`${JSON.stringify({ error: String(error) })}\n`)
  }
}
await browser.close()
