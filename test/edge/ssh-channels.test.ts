import { createHash, randomBytes } from 'node:crypto'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import fc from 'fast-check'
import { type Test, test } from 'tap'
import { sshNetwork } from '../../lib/edge/ssh.ts'
import type { Machine, Network } from '../../lib/machine/machine.ts'
import { Bench, executable, isRoot, type Middle, proxyTo, type Sshd, until, withSshd } from './sshd.ts'

interface Way {
  readonly sshd: Sshd
  readonly proxy: Middle
  readonly network: Network
  readonly machine: Machine
  readonly bench: Bench
}

/** A login as `dave` through a proxy; `openssh` takes the second transport. */
async function logIn(t: Test, options: { config?: string; lines?: string; openssh?: boolean } = {}): Promise<Way> {
  const bench = new Bench(t)
  bench.key('id')
  const sshd = await bench.sshd({ lines: options.lines ?? '' })
  const proxy = await proxyTo(t, sshd.port)
  bench.know('known', `[127.0.0.1]:${proxy.port}`, sshd.hostKey('ed25519'))
  bench.write('nobody', '')
  const configFile = bench.config(`
Host dave
  HostName 127.0.0.1
  Port ${proxy.port}
  IdentityFile @id
  IdentityAgent none
  UserKnownHostsFile @known
  GlobalKnownHostsFile none
  ${options.openssh ? 'RevokedHostKeys @nobody' : ''}
  ${options.config ?? ''}
`)
  const network = sshNetwork({ configFile })
  const machine = await network.connect({ name: 'dave', destination: 'dave', elevation: 'none' })
  t.teardown(() => machine.close())
  return { bench, sshd, proxy, network, machine }
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
const shell = (script: string, ...args: string[]) => ({ argv: ['sh', '-c', script, 'sh', ...args] })

for (const openssh of [false, true]) {
  const by = openssh ? "OpenSSH's client" : 'ssh2'

  test(`megabytes arrive whole in both directions over ${by}`, withSshd, async (t) => {
    const { machine } = await logIn(t, { openssh })
    const bytes = randomBytes(10 * 1024 * 1024)
    const up = await machine.run({ argv: ['sha256sum'] }, { input: bytes })
    t.equal(up.stdout.slice(0, 64), sha256(bytes))
    const echoed = await machine.open({ argv: ['cat'] })
    const chunks: Buffer[] = []
    const slowly = new Writable({
      highWaterMark: 1,
      write(chunk: Buffer, _encoding, done) {
        chunks.push(chunk)
        setImmediate(done)
      },
    })
    await Promise.all([pipeline(Readable.from([bytes]), echoed.stdin), pipeline(echoed.stdout, slowly)])
    t.equal(sha256(Buffer.concat(chunks)), sha256(bytes))
    t.same(await echoed.exit, { code: 0, signal: null, lost: false })
  })

  test(`what a command says to standard error never stops it over ${by}`, withSshd, async (t) => {
    const { machine } = await logIn(t, { openssh })
    const channel = await machine.open(shell('head -c 5000000 /dev/zero | tr "\\0" "e" >&2; printf end >&2; echo done'))
    let heard = 0
    channel.onErrorOutput((text) => {
      heard += text.length
    })
    let output = ''
    for await (const chunk of channel.stdout) output += String(chunk)
    t.same(await channel.exit, { code: 0, signal: null, lost: false })
    t.equal(output, 'done\n')
    t.equal(heard, 5_000_003)
    t.equal(channel.errorOutput().length, 64 * 1024)
    t.ok(channel.errorOutput().endsWith('eeeend'))
  })

  test(`a command that ends before it has read its input ends the writing over ${by}`, withSshd, async (t) => {
    const { machine } = await logIn(t, { openssh })
    const much = Buffer.alloc(20 * 1024 * 1024)
    const early = await machine.run(shell('head -c 10 >/dev/null; echo enough; exit 7'), { input: much })
    t.match(early, { code: 7, stdout: 'enough\n' })
    const channel = await machine.open(shell('exit 0'))
    channel.stdout.resume()
    const endless = Readable.from(
      (function* () {
        for (;;) yield much.subarray(0, 65536)
      })(),
    )
    await t.rejects(pipeline(endless, channel.stdin), 'the writer is told')
    t.same(await channel.exit, { code: 0, signal: null, lost: false })
    await new Promise<void>((resolve) => channel.stdin.write('x', () => resolve()))
    t.pass('writing to what has ended calls back')
  })

  test(`many commands at once share one connection over ${by}`, withSshd, async (t) => {
    const { machine, proxy } = await logIn(t, { openssh })
    const numbers = Array.from({ length: 20 }, (_, index) => String(index))
    const answers = await Promise.all(numbers.map((number) => machine.run(shell('sleep 0.1; echo "$1"', number))))
    t.same(
      answers.map((one) => one.stdout.trim()),
      numbers,
    )
    t.equal(proxy.connections, 1)
  })

  test(`a connection that is cut in the middle of a command is told as such over ${by}`, withSshd, async (t) => {
    const { machine, proxy } = await logIn(t, { openssh })
    const running = machine.run(shell('echo going; sleep 30'), { onLine: () => proxy.cut() })
    await t.rejects(running, {
      kind: 'unreachable',
      message: /^the connection to dave was lost while running 'sh -c echo going; sleep 30 sh'$/,
      host: 'dave',
    })
    await machine.closed
    await t.rejects(machine.run({ argv: ['true'] }), {
      kind: 'unreachable',
      message: 'the connection to dave was lost',
    })
  })

  test(`a peer that falls silent is noticed over ${by}`, withSshd, async (t) => {
    const config = 'ServerAliveInterval 1\n  ServerAliveCountMax 1'
    const { machine, proxy } = await logIn(t, { openssh, config })
    const channel = await machine.open(shell('echo going; cat'))
    await new Promise((resolve) => channel.stdout.once('data', resolve))
    proxy.freeze()
    t.same(await channel.exit, { code: null, signal: null, lost: true })
    await machine.closed
  })

  test(`time limits and aborts end the waiting and free the channel over ${by}`, withSshd, async (t) => {
    const { machine } = await logIn(t, { openssh })
    for (let turn = 0; turn < 10; turn += 1)
      await t.rejects(machine.run({ argv: ['sleep', '2'] }, { timeoutMs: 50 }), {
        message: "'sleep 2' on dave took longer than 0.05 s",
      })
    const said = machine.run(shell('echo so far >&2; sleep 8'), { timeoutMs: 6000 })
    await t.rejects(said, { message: /took longer/, detail: 'so far' })
    const stop = new AbortController()
    const line = machine.run(shell('echo go; sleep 2'), { signal: stop.signal, onLine: () => stop.abort() })
    await t.rejects(line, { name: 'AbortError' })
    await t.rejects(machine.run({ argv: ['true'] }, { signal: stop.signal }), { name: 'AbortError' })
    const done = await machine.run({ argv: ['true'] })
    t.equal(done.code, 0, 'the connection goes on')
  })
}

test('output comes line by line, and characters are never cut', withSshd, async (t) => {
  const { machine } = await logIn(t)
  const lines: string[] = []
  const script = "printf 'gr\\303'; sleep 0.1; printf '\\274n\\n\\nlast'"
  const done = await machine.run(shell(script), { onLine: (line) => lines.push(line) })
  t.same(lines, ['grün', '', 'last'])
  t.equal(done.stdout, 'grün\n\nlast')
})

test('who listens late to standard error has missed nothing', withSshd, async (t) => {
  const { machine } = await logIn(t)
  const channel = await machine.open(shell('echo early >&2; cat; echo late >&2'))
  await until(() => channel.errorOutput() === 'early\n')
  let heard = ''
  channel.onErrorOutput((text) => {
    heard += text
  })
  channel.stdin.end()
  channel.stdout.resume()
  await channel.exit
  t.equal(heard, 'early\nlate\n')
})

test('a command that died of a signal says so', withSshd, async (t) => {
  const { machine } = await logIn(t)
  t.match(await machine.run(shell('kill -KILL $$')), { code: null, signal: 'SIGKILL', lost: false })
})

test('a session that ends without a status is no success', withSshd, async (t) => {
  const { machine } = await logIn(t)
  // The sshd process of this connection is the parent of what it runs.
  await t.rejects(machine.run(shell('kill -KILL "$PPID"; sleep 30')), { message: /was lost/ })
})

test('a host that allows fewer channels gets fewer', withSshd, async (t) => {
  const { machine, proxy } = await logIn(t, { lines: 'MaxSessions 2' })
  const all = await Promise.all(Array.from({ length: 12 }, () => machine.run(shell('sleep 0.05; echo ok'))))
  t.same(new Set(all.map((one) => one.stdout)), new Set(['ok\n']))
  t.equal(proxy.connections, 1)
  const one = await logIn(t, { lines: 'MaxSessions 1' })
  for (let turn = 0; turn < 20; turn += 1) t.equal((await one.machine.run({ argv: ['true'] })).code, 0)
  const none = await logIn(t, { lines: 'MaxSessions 0' })
  await t.rejects(none.machine.run({ argv: ['true'] }), { message: 'the SSH server of dave opens no session' })
})

test('a command behind eight others waits for its turn, and can stop waiting', withSshd, async (t) => {
  const { machine } = await logIn(t)
  const busy = await Promise.all(Array.from({ length: 8 }, () => machine.open({ argv: ['cat'] })))
  const impatient = new AbortController()
  const waiting = machine.open({ argv: ['true'] }, impatient.signal)
  const patient = machine.run({ argv: ['echo', 'my turn'] })
  impatient.abort()
  await t.rejects(waiting, { name: 'AbortError' })
  busy[3]?.close()
  t.equal((await patient).stdout, 'my turn\n')
  t.match(await busy[3]?.exit, { code: null, lost: false })
  const last = machine.run({ argv: ['true'] })
  for (const channel of busy) channel.stdout.resume()
  for (const channel of busy) channel.stdin.end()
  t.equal((await last).code, 0)
})

test('what stays open only in case gives its place to a command that waits for one', withSshd, async (t) => {
  for (const [lines, places] of [
    ['', 8],
    ['MaxSessions 1', 1],
  ] as const) {
    const { machine } = await logIn(t, { lines })
    const spare = await machine.open({ argv: ['cat'] })
    spare.giveWay?.()
    const busy = []
    while (busy.length < places - 1) busy.push(await machine.open({ argv: ['cat'] }))
    await t.rejects(machine.open({ argv: ['true'] }, undefined, { atOnce: true }), { message: /opens no session/ })
    spare.stdin.write('still there\n')
    t.equal(String(await new Promise((resolve) => spare.stdout.once('data', resolve))), 'still there\n')
    busy.push(await machine.open({ argv: ['cat'] }))
    t.match(await spare.exit, { lost: false })

    // Now somebody waits already.
    const waiting = machine.run({ argv: ['echo', 'my turn'] })
    busy[0]?.giveWay?.()
    t.equal((await waiting).stdout, 'my turn\n')
  }
})

test('closing a machine ends what runs on it, and what waits for it', withSshd, async (t) => {
  const { machine, sshd } = await logIn(t)
  const busy = await Promise.all(Array.from({ length: 8 }, () => machine.open({ argv: ['cat'] })))
  const waiting = t.rejects(machine.run({ argv: ['true'] }), { message: /was lost/ })
  await machine.close()
  await waiting
  for (const channel of busy) t.match(await channel.exit, { code: null, lost: true })
  await until(() => sshd.log().includes('Disconnected from user'))
  await machine.close()
})

test("a connection of OpenSSH's client leaves nothing behind, however this program ends", withSshd, async (t) => {
  const bench = new Bench(t)
  bench.key('id')
  const sshd = await bench.sshd()
  bench.know('known', `[127.0.0.1]:${sshd.port}`, sshd.hostKey('ed25519'))
  const address = `HostName 127.0.0.1\n  Port ${sshd.port}\n  UserKnownHostsFile @known\n  KnownHostsCommand /bin/true`
  const configFile = bench.config(
    `Host dave\n  ${address}\n  IdentityFile @id\nHost nobody\n  ${address}\n  IdentityFile @none\n`,
  )
  const url = new URL('../../lib/edge/ssh.ts', import.meta.url).href
  const temporary = mkdtempSync('/tmp/left-')
  t.teardown(() => rmSync(temporary, { recursive: true }))
  const left = () => readdirSync(temporary).filter((name) => name.startsWith('ssh-'))
  const program = (destination: string, end: string) => `
    const { sshNetwork } = await import('${url}')
    const network = sshNetwork({ configFile: '${configFile}' })
    const login = { name: 'dave', destination: '${destination}', elevation: 'none' }
    await network.connect(login).then(() => console.log('in'), () => console.log('refused'))
    ${end}`
  const endings = ['process.exit(0)', "process.kill(process.pid, 'SIGKILL')"]
  for (const [destination, said] of [
    ['dave', 'in\n'],
    ['nobody', 'refused\n'],
  ] as const) {
    for (const end of endings) {
      const argv = [...process.execArgv, '--input-type=module', '-e', program(destination, end)]
      const child = spawnSync(process.execPath, argv, { env: { ...process.env, TMPDIR: temporary } })
      t.equal(String(child.stdout), said, String(child.stderr))
      await until(() => left().length === 0)
    }
  }
})

test('a connection of ssh survives new keys in the middle of much data', withSshd, async (t) => {
  const { machine } = await logIn(t, { lines: 'RekeyLimit 1M' })
  const bytes = randomBytes(8 * 1024 * 1024)
  const both = await Promise.all([1, 2].map(() => machine.run({ argv: ['sha256sum'] }, { input: bytes })))
  for (const one of both) t.equal(one.stdout.slice(0, 64), sha256(bytes))
})

const shells = ['/bin/bash', '/bin/dash', '/usr/bin/zsh', '/usr/bin/fish']
for (const path of shells) {
  const needs = !isRoot ? 'only root can add a user' : executable(path) ? undefined : `no ${path}`
  test(`a login whose shell is ${path} runs commands as they are`, needs ? { skip: needs } : withSshd, async (t) => {
    const bench = new Bench(t)
    bench.key('id')
    const sshd = await bench.sshd({ etc: bench.user('deploy-test', path) })
    bench.know('known', `[127.0.0.1]:${sshd.port}`, sshd.hostKey('ed25519'))
    const configFile = bench.config(
      `Host *\n  Port ${sshd.port}\n  IdentityFile @id\n  IdentityAgent none\n  UserKnownHostsFile @known\n  GlobalKnownHostsFile none\n`,
    )
    const login = { name: 'dave', destination: 'deploy-test@127.0.0.1', elevation: 'none' as const }
    const machine = await sshNetwork({ configFile }).connect(login)
    t.teardown(() => machine.close())
    t.equal(machine.user, 'deploy-test')
    // The shell replaces itself by the command where it can; its own name is in the variable that sshd sets.
    t.equal((await machine.run({ argv: ['printenv', 'SHELL'] })).stdout, `${path}\n`)
    const show = ['sh', '-c', 'for word; do printf "%s\\0" "$word"; done', 'sh']
    const word = fc.string({ unit: fc.constantFrom(...'\'"\\$`!=~-#%*?[]{}()<>|&;^ \n\tabé🦊'), maxLength: 12 })
    const arrives = async (argv: readonly string[]) => {
      const { stdout } = await machine.run({ argv: [...show, ...argv] })
      return stdout === argv.map((one) => `${one}\0`).join('')
    }
    await fc.assert(fc.asyncProperty(fc.array(word, { minLength: 10, maxLength: 30 }), arrives), { numRuns: 25 })
    // Not for root: sshd passes signals on only to the commands of ordinary users.
    await t.rejects(machine.run({ argv: ['sleep', '314.15'] }, { timeoutMs: 2000 }), { message: /took longer/ })
    await until(async () => (await machine.run({ argv: ['pgrep', '-f', '^sleep 314.15'] })).code === 1)
    const done = await machine.run({ argv: ['cat'] }, { input: 'through' })
    t.match(done, { code: 0, stdout: 'through', stderr: '' })
  })
}
