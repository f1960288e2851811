/** What the user's and the system's known_hosts files say of one host (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). */

import { createHmac, randomBytes } from 'node:crypto'
import { appendFile, mkdir, readFile, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { PinnedKey } from '../../machine/machine.ts'
import { runProcess } from '../process.ts'
import type { HostConfig } from './host-config.ts'
import { keyType } from './host-key.ts'
import { parsePublicKey } from './key-file.ts'
import { expandFile } from './tokens.ts'

export interface KnownKey {
  readonly file: string
  readonly line: number
  readonly key: Buffer
  readonly marker: 'revoked' | 'cert-authority' | undefined
}

export interface KnownHost {
  /** The name it is looked up by: HostKeyAlias, or the host name, with `[…]:port` for a port that isn't 22. */
  readonly name: string
  readonly keys: readonly KnownKey[]
  /** Keys of the same host without its port; OpenSSH takes a match among them for good as well. */
  readonly elsewhere: readonly KnownKey[]
  /** Where a new key is written. */
  readonly userFile: string | undefined
  /** The only key that counts, when no file does. */
  readonly pinned?: PinnedKey
}

/** A host of which this key is known, whatever the files say. */
export function pinnedHost(config: HostConfig, pinned: PinnedKey): KnownHost {
  const key = parsePublicKey(pinned.key) ?? Buffer.alloc(0)
  const only = { file: pinned.from, line: 0, key, marker: undefined }
  return { name: config.hostName, keys: [only], elsewhere: [], userFile: undefined, pinned }
}

export async function knownHost(config: HostConfig, signal: AbortSignal): Promise<KnownHost> {
  const userFiles = files(config, 'userknownhostsfile')
  const allFiles = [...userFiles, ...files(config, 'globalknownhostsfile')]
  const alias = config.one('hostkeyalias')?.toLowerCase()
  const ownPort = alias === undefined && config.port !== 22
  const name = alias ?? (ownPort ? `[${config.hostName}]:${config.port}` : config.hostName)
  const keys = await lookUp(name, allFiles, signal)
  const elsewhere = ownPort && keys.length === 0 ? await lookUp(config.hostName, allFiles, signal) : []
  return { name, keys, elsewhere, userFile: userFiles[0] }
}

/** Adds a key as `ssh` would, hashed when the configuration wants it. Why it can't be is a warning, there and here. */
export async function remember(host: KnownHost, key: Buffer, config: HostConfig): Promise<string | undefined> {
  if (host.userFile === undefined) return undefined
  try {
    await write(host.userFile, { host, key, config })
    return undefined
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? String(error)
    return `the host key of ${host.name} is accepted, and can't be written to ${host.userFile} (${why})`
  }
}

async function write(file: string, known: { host: KnownHost; key: Buffer; config: HostConfig }): Promise<void> {
  const { host, key, config } = known
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  const before = await readFile(file, 'utf8').catch(() => '')
  const start = before === '' || before.endsWith('\n') ? '' : '\n'
  const name = config.on('hashknownhosts') ? hashed(host.name) : host.name
  const line = `${start}${name} ${keyType(key)} ${key.toString('base64')}\n`
  await appendFile(file, line, { mode: 0o600 })
}

function hashed(name: string): string {
  const salt = randomBytes(20)
  return `|1|${salt.toString('base64')}|${createHmac('sha1', salt).update(name).digest('base64')}`
}

// `ssh -G` separates file names by blanks and quotes none: what doesn't begin like a path continues the one before.
const files = (config: HostConfig, keyword: string): string[] =>
  (config.one(keyword) ?? '')
    .split(/ (?=[/~%$])/)
    .filter((file) => file !== '' && file !== 'none')
    .map((file) => expandFile(file, config))

async function lookUp(name: string, allFiles: readonly string[], signal: AbortSignal): Promise<KnownKey[]> {
  const found: KnownKey[] = []
  for (const file of allFiles) {
    const there = await stat(file).catch(() => undefined)
    if (!there?.isFile() || there.size === 0) continue
    // ssh-keygen understands hashed names, patterns and lists, and says nothing but the lines that match.
    const { stdout } = await runProcess(['ssh-keygen', '-F', name, '-f', file], { signal })
    found.push(...parseFound(stdout, file))
  }
  return found
}

/** `# Host NAME found: line N [CA|REVOKED]`, followed by that line. */
export function parseFound(text: string, file: string): KnownKey[] {
  const found: KnownKey[] = []
  let line = 0
  for (const row of text.split('\n')) {
    const number = /^# Host .* found: line (\d+)/.exec(row)?.[1]
    if (number !== undefined) line = Number(number)
    if (number !== undefined || row.startsWith('#')) continue
    const [, marker, key] = /^(?:@(revoked|cert-authority)\s+)?\S+\s+\S+\s+([A-Za-z0-9+/=]+)/.exec(row) ?? []
    if (key === undefined) continue
    found.push({ file, line, key: Buffer.from(key, 'base64'), marker: marker as KnownKey['marker'] })
  }
  return found
}
