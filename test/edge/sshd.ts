/** A real sshd on loopback for one test file, with keys, users and client configuration of its own. */
import { execFileSync, spawn } from 'node:child_process'
import {
  accessSync,
  appendFileSync,
  chmodSync,
  chownSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'

export const sshdProgram = ['/usr/sbin/sshd', '/usr/bin/sshd', '/usr/local/sbin/sshd'].find(executable)
export const me = userInfo().username
export const isRoot = process.getuid?.() === 0
export const withSshd = sshdProgram ? {} : { skip: 'no sshd on this machine' }

export function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Whether a process is there and not merely waiting to be buried. */
export function alive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

/** Waits for something that another process does. */
export async function until(fact: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 60_000
  while (!(await fact())) {
    if (performance.now() > end) throw new Error(`not within a minute: ${fact}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

export interface Sshd {
  readonly port: number
  readonly pid: number
  /** By type: `ed25519`, `rsa`, `ecdsa`. */
  hostKey(type: string): string
  hostKeyFile(type: string): string
  log(): string
  stop(): Promise<void>
}

export class Bench {
  readonly place: string
  readonly t: Test
  #next = 0

  constructor(t: Test) {
    this.t = t
    this.place = mkdtempSync(join(tmpdir(), 'ssh-test-'))
    t.teardown(() => rmSync(this.place, { recursive: true, force: true }))
    if (isRoot) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 })
  }

  file(name: string): string {
    return join(this.place, name)
  }

  write(name: string, content: string): string {
    writeFileSync(this.file(name), content, { mode: 0o600 })
    return this.file(name)
  }

  readable(name: string): void {
    chmodSync(this.file(name), 0o644)
  }

  /** A user that exists only for one sshd: nothing of this machine is changed. Returns what `etc` wants. */
  user(name: string, shell: string): Readonly<Record<string, string>> {
    chmodSync(this.place, 0o755)
    mkdirSync(this.file(name), { mode: 0o755 })
    chownSync(this.file(name), 64999, 64999)
    const line = `${name}:x:64999:64999::${this.file(name)}:${shell}\n`
    const passwd = this.write('passwd', `${readFileSync('/etc/passwd', 'utf8')}${line}`)
    this.readable('passwd')
    return { '/etc/passwd': passwd }
  }

  /** A key pair; returns the name of the private key's file. */
  key(name: string, options: { type?: string; passphrase?: string } = {}): string {
    const type = options.type ?? 'ed25519'
    const bits = type === 'rsa' ? ['-b', '2048'] : []
    const argv = ['-q', '-t', type, ...bits, '-N', options.passphrase ?? '', '-C', name, '-f', this.file(name)]
    execFileSync('ssh-keygen', argv)
    return this.file(name)
  }

  publicKey(name: string): string {
    return readFileSync(this.file(`${name}.pub`), 'utf8').trim()
  }

  /** `@` at the beginning of a word stands for this bench's directory. */
  here(text: string): string {
    return text.replace(/(?<=[\s"])@/g, `${this.place}/`)
  }

  /** The client's configuration. */
  config(text: string): string {
    this.#next += 1
    return this.write(`config-${this.#next}`, this.here(text))
  }

  /**
   * Starts sshd with these lines of sshd_config. Whoever holds `authorized`'s keys may log in. It sees
   * the files of `etc` in the place of the machine's own.
   */
  async sshd(
    options: {
      hostKeys?: string[]
      authorized?: string[]
      lines?: string
      address?: string
      etc?: Readonly<Record<string, string>>
    } = {},
  ): Promise<Sshd> {
    this.#next += 1
    const name = `sshd-${this.#next}`
    const types = options.hostKeys ?? ['ed25519']
    const keys = types.map((type) => this.key(`${name}-host-${type}`, { type }))
    this.write(`${name}-authorized`, `${(options.authorized ?? ['id']).map((key) => this.publicKey(key)).join('\n')}\n`)
    // sshd reads it as the user who logs in.
    this.readable(`${name}-authorized`)
    const address = options.address ?? '127.0.0.1'
    const configWith = (port: number) =>
      [
        options.lines ?? '',
        `Port ${port}`,
        `ListenAddress ${address}`,
        ...keys.map((key) => `HostKey ${key}`),
        `AuthorizedKeysFile ${this.file(`${name}-authorized`)}`,
        'StrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin prohibit-password\nPasswordAuthentication no',
        'KbdInteractiveAuthentication no\nMaxStartups 100\nAcceptEnv NIXBUILDNET_* DEPLOY_*\nLogLevel VERBOSE',
      ].join('\n')
    const file = this.file(`${name}-config`)
    const log = this.file(`${name}.log`)
    const argv = [sshdProgram ?? '', '-D', '-f', file, '-E', log]
    const own = Object.entries(options.etc ?? {}).map(([place, file]) => `mount --bind '${file}' '${place}' && `)
    const command = own.length === 0 ? argv : ['unshare', '-m', 'sh', '-c', `${own.join('')}exec "$@"`, 'sh', ...argv]
    const [program = '', ...rest] = command
    const start = async () => {
      const port = await freePort(address)
      this.write(`${name}-config`, configWith(port))
      const server = spawn(program, rest, { stdio: 'ignore', env: { PATH: process.env['PATH'] ?? '' }, detached: true })
      const gone = new Promise<void>((resolve) => server.on('exit', () => resolve()))
      await until(async () => server.exitCode !== null || (await answers(port, address)))
      return { port, server, gone }
    }
    let started = await start()
    // Somebody else may have taken the port that was free a moment ago.
    for (let attempt = 2; started.server.exitCode !== null; attempt++) {
      if (attempt > 10) throw new Error(`sshd does not start: ${readFileSync(log, 'utf8')}`)
      started = await start()
    }
    const { port, server, gone } = started
    const stop = async () => {
      // Not the group: sessions of sshd are in it, and a test ends those itself.
      server.kill('SIGTERM')
      await gone
    }
    this.t.teardown(stop)
    return {
      port,
      pid: server.pid ?? 0,
      stop,
      hostKeyFile: (type) => this.file(`${name}-host-${type}`),
      hostKey: (type) => this.publicKey(`${name}-host-${type}`),
      log: () => readFileSync(log, 'utf8'),
    }
  }

  /** An ssh-agent that holds these keys; returns its socket. */
  async agent(keys: readonly string[]): Promise<string> {
    const socket = this.file('agent')
    const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' })
    this.t.teardown(() => agent.kill())
    await until(() => existsSync(socket))
    for (const key of keys) await this.addToAgent(socket, key)
    return socket
  }

  async addToAgent(socket: string, key: string, passphrase = ''): Promise<void> {
    const answer = this.write('askpass', `#!/bin/sh\necho '${passphrase}'\n`)
    chmodSync(answer, 0o700)
    const env = { ...process.env, SSH_AUTH_SOCK: socket, SSH_ASKPASS: answer, SSH_ASKPASS_REQUIRE: 'force' }
    execFileSync('ssh-add', ['-q', this.file(key)], { env, stdio: 'ignore' })
  }

  /** A port that takes connections and never says anything. */
  async silentPort(): Promise<number> {
    const sockets: Socket[] = []
    const server = createServer((socket) => sockets.push(socket.on('error', () => undefined)))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    this.t.teardown(() => {
      for (const socket of sockets) socket.destroy()
      server.close()
    })
    const address = server.address()
    return typeof address === 'object' && address ? address.port : 0
  }

  /** Adds a line to known_hosts for an sshd's key. */
  know(file: string, name: string, key: string): string {
    appendFileSync(this.file(file), `${name} ${key.split(' ').slice(0, 2).join(' ')}\n`)
    return this.file(file)
  }
}

export function freePort(address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, address, () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}

function answers(port: number, address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, address)
    socket.on('data', () => socket.destroy())
    socket.on('error', () => resolve(false))
    socket.on('close', () => resolve(socket.bytesRead > 0))
  })
}

/** Stands between the client and an sshd: counts, stops forwarding (a black hole), or cuts. */
export interface Middle {
  readonly port: number
  readonly connections: number
  freeze(): void
  cut(): void
}

export async function proxyTo(t: Test, port: number): Promise<Middle> {
  const pairs: Socket[] = []
  let connections = 0
  const server: Server = createServer((client) => {
    connections += 1
    const target = connect(port, '127.0.0.1')
    pairs.push(client, target)
    client.pipe(target).pipe(client)
    for (const socket of [client, target]) {
      socket.on('error', () => undefined)
      socket.on('close', () => {
        client.destroy()
        target.destroy()
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const cut = () => {
    for (const socket of pairs) socket.destroy()
  }
  t.teardown(() => {
    cut()
    server.close()
  })
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    get connections() {
      return connections
    },
    freeze() {
      for (const socket of pairs) socket.unpipe().pause()
    },
    cut,
  }
}
