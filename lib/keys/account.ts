/** The account at nixbuild.net, told to add or remove a key. How it takes that is only partly documented. */
import type { Clock } from '../clock.ts'
import type { Machine } from '../machine/machine.ts'
import { Problem } from '../problem.ts'
import type { Acceptance } from './findings.ts'

/** A line of the service's language. The key is its type and body. */
export function commandFor(template: string, publicKey: string): string {
  const [type = '', body = '', comment = ''] = publicKey.split(' ')
  // The host says what the comment is, and it could be an option.
  const plain = /^[\w.:@][\w.:@-]*$/.test(comment) ? comment : ''
  return template
    .replaceAll('{key}', () => `${type} ${body}`)
    .replaceAll('{comment}', () => plain)
    .trim()
}

export interface AccountAccess {
  /** One command for each login. The caller closes it. */
  login(signal: AbortSignal): Promise<Machine>
  readonly clock: Clock
  readonly signal: AbortSignal
}

export type Change =
  | { readonly kind: 'done'; readonly way: 'api' | 'shell' }
  /** what each way came to, one line each */
  | { readonly kind: 'not done'; readonly said: readonly string[] }

/** How long the service may take until it does what it said. */
const settlingMs = 15_000

/** Whether a change is there; `unknown` where nobody could tell. */
export type Took = 'yes' | 'no' | 'unknown'

/** A service that can't be reached accepts no key either: only one that refuses it has forgotten it. */
export function tookOf(what: 'add' | 'remove', acceptance: Acceptance): Took {
  if (acceptance !== 'yes' && acceptance !== 'refused') return 'unknown'
  return (acceptance === 'yes') === (what === 'add') ? 'yes' : 'no'
}

/**
 * First `api LINE`, then the same line typed into `shell`. What the service answers proves nothing: `took` asks
 * whether the change is there. Where that can't be told, the line is not sent once more.
 */
export async function changeAccount(line: string, access: AccountAccess, took: () => Promise<Took>): Promise<Change> {
  const said: string[] = []
  for (const [way, tell] of [
    ['api', tellApi],
    ['shell', tellShell],
  ] as const) {
    try {
      const { answer, failed } = await tell(line, access)
      const end = await within(failed ? 0 : settlingMs, access, took)
      if (end === 'yes') return { kind: 'done', way }
      said.push(`${way}: ${answer.trim().split('\n').at(-1) || 'no answer'}`)
      if (end === 'unknown') {
        said.push('whether it took could not be seen from the host')
        break
      }
    } catch (error) {
      if (!(error instanceof Problem) || access.signal.aborted) throw error
      said.push(`${way}: ${error.message}`)
      // There is nobody who would let us in the second time.
      if (error.kind === 'unreachable') break
    }
  }
  return { kind: 'not done', said }
}

/** Asks at once and then ever more seldom, since a service may lock out who is refused often. Gives the last answer. */
export async function within(
  milliseconds: number,
  { clock, signal }: Pick<AccountAccess, 'clock' | 'signal'>,
  ask: () => Promise<Took>,
): Promise<Took> {
  const deadline = clock.monotonic() + milliseconds
  for (let pause = 1_000; ; pause = Math.min(2 * pause, 15_000)) {
    const took = await ask()
    if (took === 'yes' || clock.monotonic() >= deadline) return took
    await clock.sleep(pause, signal)
  }
}

interface Said {
  readonly answer: string
  readonly failed: boolean
}

async function askApi(line: string, { login, signal }: Pick<AccountAccess, 'login' | 'signal'>) {
  const machine = await login(signal)
  try {
    return await machine.run({ argv: ['api', ...line.split(/\s+/)] }, { timeoutMs: 30_000, signal })
  } finally {
    await machine.close()
  }
}

async function tellApi(line: string, access: AccountAccess): Promise<Said> {
  const { code, stdout, stderr } = await askApi(line, access)
  return { answer: stderr.trim() || stdout, failed: code !== 0 }
}

/**
 * The public key that the account's builds are signed with, as `trusted-public-keys` of nix.conf has it (`NAME:BASE64`);
 * undefined when the service doesn't say. As its own action asks for it: github.com/nixbuild/nixbuild-action.
 */
export async function signingKey(access: Pick<AccountAccess, 'login' | 'signal'>): Promise<string | undefined> {
  try {
    const { code, stdout } = await askApi('settings signing-key-for-builds --show', access)
    const { keyName, publicKey } = (code === 0 && (JSON.parse(stdout) as Record<string, unknown> | null)) || {}
    const key = `${keyName}:${publicKey}`
    return /^[\w./-]+:[A-Za-z0-9+/]{43}=$/.test(key) ? key : undefined
  } catch (error) {
    if (access.signal.aborted || !(error instanceof Problem || error instanceof SyntaxError)) throw error
    return undefined
  }
}

const prompt = /nixbuild\.net> $/

/** How long its prompt may be in coming. */
const promptMs = 20_000

/** It may take no notice of what comes before its prompt, and end with its input: one line, then its answer. */
async function tellShell(line: string, { login, signal, clock }: AccountAccess): Promise<Said> {
  const machine = await login(signal)
  const over = new AbortController()
  try {
    const channel = await machine.open({ argv: ['shell'] }, signal)
    const late = clock.sleep(promptMs, AbortSignal.any([signal, over.signal])).then(() => {
      throw new Problem('no prompt came')
    })
    const answers = answersIn(channel.stdout.setEncoding('utf8'))
    const next = async () => {
      const { value, done } = await Promise.race([answers.next(), late])
      if (done) throw new Problem(channel.errorOutput().trim() || 'the shell ended')
      return value
    }
    await next()
    channel.stdin.write(`${line}\n`)
    const answer = await next()
    channel.stdin.end('exit\n')
    late.catch(() => {})
    return { answer, failed: /^error\b/m.test(answer) }
  } finally {
    over.abort()
    await machine.close()
  }
}

/** What stands before each prompt. */
async function* answersIn(output: AsyncIterable<string>): AsyncGenerator<string, undefined> {
  let text = ''
  for await (const chunk of output) {
    text += chunk
    if (!prompt.test(text)) continue
    yield text.replace(prompt, '')
    text = ''
  }
}
