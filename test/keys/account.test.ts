import { PassThrough } from 'node:stream'
import t from 'tap'
import { changeAccount, commandFor, signingKey, tookOf } from '../../lib/keys/account.ts'
import type { Channel, Machine } from '../../lib/machine/machine.ts'
import { Problem } from '../../lib/problem.ts'

const key = 'ssh-ed25519 AAAAC3Nz dave:root:2026-11-26'

t.test('a line is made of a template and a public key', async (t) => {
  t.equal(commandFor('ssh-keys add {key} {comment}', key), 'ssh-keys add ssh-ed25519 AAAAC3Nz dave:root:2026-11-26')
  t.equal(commandFor('ssh-keys add {key} {comment}', 'ssh-ed25519 AAAA'), 'ssh-keys add ssh-ed25519 AAAA')
  t.equal(commandFor('keys rm {key}', key), 'keys rm ssh-ed25519 AAAAC3Nz')
  t.equal(commandFor('add {key} {comment}', 'ssh-ed25519 AAAA --set-admin=true'), 'add ssh-ed25519 AAAA', 'no option')
})

/** A service: `api` exits as it is told to; its shell answers each line after a prompt, in whatever pieces. */
function service(behaviour: { api: number; shell: 'prompts' | 'silent' | 'ends'; takes: 'api' | 'shell' | 'nothing' }) {
  const lines: string[] = []
  let isTaken = false
  const take = (way: string, line: string) => {
    lines.push(`${way}: ${line}`)
    if (behaviour.takes === way) isTaken = true
  }
  const shell = (): Channel => {
    const stdin = new PassThrough()
    const stdout = new PassThrough()
    let end = (_exit: { code: number; signal: null; lost: boolean }) => {}
    const exit = new Promise<{ code: number; signal: null; lost: boolean }>((resolve) => {
      end = resolve
    })
    if (behaviour.shell === 'ends') {
      stdout.end()
      end({ code: 1, signal: null, lost: false })
    }
    if (behaviour.shell === 'prompts') for (const piece of ['Welcome\n\nnixbu', 'ild.net', '> ']) stdout.write(piece)
    stdin.on('data', (chunk: Buffer) => {
      const line = chunk.toString().trim()
      if (line === 'exit') return
      take('shell', line)
      stdout.write('Key added to acc')
      stdout.write('ount\nnixbuild.net> ')
    })
    return { stdin, stdout, exit, errorOutput: () => 'no shell here', onErrorOutput() {}, close() {} }
  }
  let logins = 0
  let open = 0
  const login = async () => {
    logins += 1
    open += 1
    return {
      async run({ argv }: { argv: readonly string[] }) {
        take('api', argv.slice(1).join(' '))
        return { code: behaviour.api, signal: null, lost: false, stdout: '{}', stderr: behaviour.api ? 'unknown' : '' }
      },
      open: async () => shell(),
      async close() {
        open -= 1
      },
    } as unknown as Machine
  }
  return {
    login,
    lines,
    took: async () => (isTaken ? 'yes' : 'no') as 'yes' | 'no',
    logins: () => logins,
    stillOpen: () => open,
  }
}

const { signal } = new AbortController()

/** Time passes as fast as it is waited for, but what is called off never comes. */
const clock = () => {
  let now = 0
  return {
    monotonic: () => now,
    now: () => new Date(now),
    sleep: (milliseconds: number, until?: AbortSignal) =>
      new Promise<void>((resolve, reject) => {
        until?.addEventListener('abort', () => reject(until.reason))
        // What else is to happen now, happens before it is later.
        setTimeout(() => {
          now += milliseconds
          resolve()
        }, 30)
      }),
  }
}

t.test('api is asked first, and nothing else when that took', async (t) => {
  const one = service({ api: 0, shell: 'prompts', takes: 'api' })
  t.same(await changeAccount('ssh-keys add k', { ...one, clock: clock(), signal }, one.took), {
    kind: 'done',
    way: 'api',
  })
  t.same(one.lines, ['api: ssh-keys add k'])
  t.same([one.logins(), one.stillOpen()], [1, 0])
})

t.test('where api does not take it, the shell is typed into, after its prompt', async (t) => {
  for (const api of [0, 1]) {
    const one = service({ api, shell: 'prompts', takes: 'shell' })
    const changed = await changeAccount('ssh-keys add k', { ...one, clock: clock(), signal }, one.took)
    t.same(changed, { kind: 'done', way: 'shell' }, 'what the service answers proves nothing')
    t.same(one.lines, ['api: ssh-keys add k', 'shell: ssh-keys add k'])
    t.same([one.logins(), one.stillOpen()], [2, 0], 'each command has a login of its own')
  }
})

t.test('what came of each way is told when nothing took', async (t) => {
  for (const [shell, said] of [
    ['prompts', 'shell: Key added to account'],
    ['silent', 'shell: no prompt came'],
    ['ends', 'shell: no shell here'],
  ] as const) {
    const one = service({ api: 1, shell, takes: 'nothing' })
    const changed = await changeAccount('ssh-keys add k', { ...one, clock: clock(), signal }, one.took)
    t.same(changed, { kind: 'not done', said: ['api: unknown', said] })
    t.equal(one.stillOpen(), 0)
  }
})

t.test('who is not let in tries once', async (t) => {
  let logins = 0
  const login = async () => {
    logins += 1
    throw new Problem('nixbuild.net knows none of the keys that were offered', { kind: 'unreachable' })
  }
  const changed = await changeAccount('x', { login, clock: clock(), signal }, async () => 'no')
  t.same(changed, { kind: 'not done', said: ['api: nixbuild.net knows none of the keys that were offered'] })
  t.equal(logins, 1)
})

t.test('only a service that refuses a key has forgotten it', async (t) => {
  for (const acceptance of ['unreachable', 'host-key', 'unknown'] as const) {
    t.same([tookOf('add', acceptance), tookOf('remove', acceptance)], ['unknown', 'unknown'], acceptance)
  }
  t.same([tookOf('add', 'yes'), tookOf('remove', 'yes')], ['yes', 'no'])
  t.same([tookOf('add', 'refused'), tookOf('remove', 'refused')], ['no', 'yes'])
})

t.test('where nobody can see whether it took, it is neither done nor sent once more', async (t) => {
  const one = service({ api: 0, shell: 'prompts', takes: 'api' })
  const changed = await changeAccount('x', { ...one, clock: clock(), signal }, async () => 'unknown')
  t.match(changed, { kind: 'not done', said: [/^api: /, 'whether it took could not be seen from the host'] })
  t.same(one.lines, ['api: x'])
})

t.test('the key that builds are signed with is what nix.conf takes, and nothing else', async (t) => {
  const asked: string[][] = []
  let closed = 0
  const saying = (code: number, stdout: string) => ({
    signal: new AbortController().signal,
    login: async () =>
      ({
        run: async ({ argv }: { argv: string[] }) => {
          asked.push(argv)
          return { code, signal: null, lost: false, stdout, stderr: '' }
        },
        close: async () => void closed++,
      }) as unknown as Machine,
  })
  const publicKey = `${'A'.repeat(43)}=`
  const answer = JSON.stringify({ keyName: 'nixbuild.net/CQ9XPX-1', publicKey })
  t.equal(await signingKey(saying(0, answer)), `nixbuild.net/CQ9XPX-1:${publicKey}`)
  t.same(asked, [['api', 'settings', 'signing-key-for-builds', '--show']])
  for (const [code, text] of [
    [1, answer],
    [0, ''],
    [0, 'no JSON'],
    [0, '{}'],
    [0, 'null'],
    [0, JSON.stringify({ keyName: 'a" ]; b = [ "', publicKey })],
  ] as const)
    t.equal(await signingKey(saying(code, text)), undefined, text)
  t.equal(closed, 7)
  const login = async () => Promise.reject(new Problem('no answer', { kind: 'unreachable' }))
  t.equal(await signingKey({ ...saying(0, ''), login }), undefined)
})
