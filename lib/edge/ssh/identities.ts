/** Which keys are offered, in OpenSSH's order: the configured ones that the agent holds, the agent's others, files. */
import { readFile, stat } from 'node:fs/promises'
import { type AgentKey, agentKeys, agentSocket } from './agent.ts'
import { BeyondSsh2 } from './beyond-ssh2.ts'
import type { HostConfig } from './host-config.ts'
import { keyType } from './host-key.ts'
import { type KeyFile, parseKeyFile, parsePublicKey } from './key-file.ts'
import { expandFile } from './tokens.ts'

export interface Identities {
  readonly agentSocket: string | undefined
  readonly agentKeys: readonly AgentKey[]
  readonly files: readonly { readonly file: string; readonly privateKey: string }[]
  /** Words for a person: what was left out and why. */
  readonly skipped: readonly string[]
  /** What only OpenSSH's client could offer: hardware keys, certificates in the agent. */
  readonly beyond: readonly string[]
}

interface Configured {
  readonly file: string
  readonly text: string
  readonly private: KeyFile | undefined
  readonly publicKey: Buffer | undefined
  readonly exposed: boolean
}

/** Throws `BeyondSsh2` when the configuration asks for certificates. */
export async function identities(config: HostConfig, signal: AbortSignal): Promise<Identities> {
  if (!offersKeys(config)) return { agentSocket: undefined, agentKeys: [], files: [], skipped: [], beyond: [] }
  const socket = agentSocket(config)
  const [held, configured] = await Promise.all([
    socket === undefined ? [] : agentKeys(socket, signal),
    Promise.all(config.all('identityfile').map((file) => readConfigured(expandFile(file, config)))),
  ])
  await refuseCertificates(config, configured)
  const accepted = acceptedTypes(config)
  const files = configured.filter((one) => one.private || one.publicKey)
  const inAgent = (one: Configured) => held.find((key) => one.publicKey && key.key.equals(one.publicKey))
  const first = files.map(inAgent).filter((key) => key !== undefined && accepted(key.key)) as AgentKey[]
  const rest = config.on('identitiesonly') ? [] : held.filter((key) => !first.includes(key) && accepted(key.key))
  const fromAgent = [...new Set([...first, ...rest])]
  const fromFiles = files.filter((one) => !inAgent(one) && one.private)
  const reasons = new Map(fromFiles.map((one) => [one, whyNot(one, accepted)]))
  return {
    agentSocket: socket,
    agentKeys: fromAgent.filter((key) => !foreign(key.key)),
    files: fromFiles
      .filter((one) => reasons.get(one) === undefined)
      .map(({ file, text }) => ({ file, privateKey: text })),
    skipped: fromFiles.flatMap((one) => reasons.get(one)?.words ?? []),
    beyond: [
      ...fromAgent.filter((key) => foreign(key.key)).map((key) => `${keyType(key.key)} of the agent`),
      ...fromFiles.filter((one) => reasons.get(one)?.beyond).map((one) => one.file),
    ],
  }
}

function offersKeys(config: HostConfig): boolean {
  const preferred = config.list('preferredauthentications')
  const allowed = !['no', 'false'].includes(config.one('pubkeyauthentication') ?? 'yes')
  return allowed && (preferred.length === 0 || preferred.includes('publickey'))
}

/** What the configuration lets be offered at all. A type of key may have several algorithms (RFC 8332). */
function acceptedTypes(config: HostConfig): (key: Buffer) => boolean {
  // The older name is what OpenSSH before 8.5 says.
  const names = [...config.list('pubkeyacceptedalgorithms'), ...config.list('pubkeyacceptedkeytypes')]
  const types = new Set(names.map((name) => name.replace(/^rsa-sha2-\d+/, 'ssh-rsa')))
  return (key) => types.size === 0 || types.has(keyType(key))
}

/** Certificates and hardware keys, which ssh2 doesn't know. */
const foreign = (key: Buffer) => /^sk-|-cert-v\d\d@/.test(keyType(key))

function whyNot(one: Configured, accepted: (key: Buffer) => boolean): { words: string; beyond: boolean } | undefined {
  if (one.publicKey && !accepted(one.publicKey))
    return {
      words: `${one.file} (${keyType(one.publicKey)}, which PubkeyAcceptedAlgorithms leaves out)`,
      beyond: false,
    }
  if (one.publicKey && foreign(one.publicKey)) return { words: `${one.file} (a hardware key)`, beyond: true }
  if (one.exposed) return { words: `${one.file} (others may read it)`, beyond: false }
  if (one.private?.encrypted) return { words: `${one.file} (encrypted, and not in the agent)`, beyond: false }
  return undefined
}

async function readConfigured(file: string): Promise<Configured> {
  const [text, beside, facts] = await Promise.all([
    readFile(file, 'utf8').catch(() => ''),
    readFile(`${file}.pub`, 'utf8').catch(() => ''),
    stat(file).catch(() => undefined),
  ])
  const key = parseKeyFile(text)
  const publicKey = key?.publicKey ?? parsePublicKey(beside) ?? (key ? undefined : parsePublicKey(text))
  // OpenSSH ignores its user's own key when others may read it.
  const exposed = facts !== undefined && facts.uid === process.getuid?.() && (facts.mode & 0o077) !== 0
  return { file, text, private: key, publicKey, exposed: exposed && key !== undefined }
}

async function refuseCertificates(config: HostConfig, configured: readonly Configured[]): Promise<void> {
  const there = configured.filter((one) => one.private || one.publicKey).map((one) => `${one.file}-cert.pub`)
  const named = config.all('certificatefile').map((file) => expandFile(file, config))
  for (const file of [...named, ...there])
    if (await stat(file).catch(() => undefined)) throw new BeyondSsh2(`the certificate ${file}`)
}
