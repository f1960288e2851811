/** The keys of a host's accounts at nixbuild.net, as the host itself sees them. */
import { keyWords } from '../nix/nixbuild.ts'
import { type ManagedLogin, wordFor } from './login.ts'
import { type Answer, type Asking, askHost, type Facts, factOf, factsOf } from './program.ts'

export type KeyForm =
  | 'ok'
  | 'missing'
  | 'no-account'
  | 'passphrase'
  | 'line-ends'
  | 'no-final-newline'
  | 'other-type'
  | 'unreadable'
  | 'no-key'
  | 'no-token'

export interface AccountKey extends ManagedLogin {
  readonly home: string
  /** the managed private key, or what ssh reads the token from */
  readonly file: string
  readonly form: KeyForm
  /** what the file is a link to: a key that something else manages */
  readonly link: string | undefined
  /** octal digits; undefined without a file */
  readonly mode: string | undefined
  readonly owner: string | undefined
  /** the home is in memory, and gone at the next boot */
  readonly isVolatile: boolean
  /** `ssh-ed25519 AAAA… comment` */
  readonly public: string | undefined
  /** `SHA256:…` */
  readonly fingerprint: string | undefined
  /** the service was seen to accept it, now or before */
  readonly wasAccepted: boolean
  /** the day it was made, if its comment says so: milliseconds since 1970 */
  readonly made: number | undefined
  /** a rotation that isn't over: the key to come is there, the old one still is */
  readonly rotating: 'next' | 'old' | undefined
  readonly ssh: SshView
}

/** What ssh reads when this account connects to `eu.nixbuild.net`. */
export interface SshView {
  /** why ssh refuses its own configuration */
  readonly error: string | undefined
  readonly identities: readonly string[]
  readonly identitiesOnly: boolean
  /** it logs in as `authtoken`, with no key */
  readonly isTokenLogin: boolean
  /** there is one in the variables that it sends */
  readonly sendsToken: boolean
  /** seconds; 0: none */
  readonly alive: number
  readonly isThroughput: boolean
  readonly port: number
  /** other names under which a configuration has the service: nobody who says eu.nixbuild.net gets what they say */
  readonly aliases: readonly string[]
  readonly knownHostsFiles: readonly string[]
  /** those of them that have the right host key, or another one */
  readonly pinnedIn: readonly string[]
  readonly otherHostKeyIn: readonly string[]
  /** the block that was put there takes in what follows it, which was meant for every host */
  readonly isBlockOpen: boolean
  /** the account's own configuration is a link into the Nix store */
  readonly isInStore: boolean
}

export interface KeyHost {
  readonly accounts: readonly AccountKey[]
  /** by Nix's name */
  readonly system: string
  /** lines of the daemon's builders that lead to the service */
  readonly builders: readonly MachineLine[]
  readonly substituters: readonly string[]
  /** the files that root's ssh, the daemon's, offers the service where nothing names another one */
  readonly rootIdentities: readonly string[]
  /** files in which root's ssh, the daemon's, finds the right host key, or another one */
  readonly rootPinnedIn: readonly string[]
  readonly rootOtherHostKeyIn: readonly string[]
  /** /etc/ssh/ssh_config comes from the NixOS configuration */
  readonly systemRule: 'configuration' | 'hand'
  readonly isNixos: boolean
}

/** A line of /etc/nix/machines (`nix.conf(5)`, builders). */
export interface MachineLine {
  readonly text: string
  readonly uri: string
  readonly identityFile: string | undefined
  /** that the line itself brings: type and body */
  readonly hostKey: string | undefined
}

/** `hostKey`: `ssh-ed25519 AAAA…`, the one to be pinned. Rejects with a Problem. */
export async function readKeys(
  asking: Asking,
  { logins, hostKey }: { logins: readonly ManagedLogin[]; hostKey: string },
): Promise<KeyHost> {
  return keyHostOf(await askHost(asking, 'state', ...keyWords(hostKey), ...logins.map(wordFor)))
}

export function keyHostOf({ accounts, machine }: Answer): KeyHost {
  return {
    accounts: [...accounts].map(([account, facts]) => accountKeyOf(account, facts)),
    system: factOf(machine, 'system') ?? '',
    builders: factsOf(machine, 'builder').map(machineLine),
    substituters: factsOf(machine, 'substituter'),
    rootIdentities: factsOf(machine, 'root-identity'),
    rootPinnedIn: factsOf(machine, 'root-pinned'),
    rootOtherHostKeyIn: factsOf(machine, 'root-other-host-key'),
    systemRule: factOf(machine, 'system-rule') === 'store' ? 'configuration' : 'hand',
    isNixos: factOf(machine, 'nixos') === 'yes',
  }
}

function accountKeyOf(account: string, facts: Facts): AccountKey {
  const fact = (key: string) => factOf(facts, key)
  const home = fact('home') ?? ''
  const rotating = factsOf(facts, 'rotating')
  const publicKey = fact('public')
  return {
    account,
    kind: fact('kind') === 'token' ? 'token' : 'key',
    home,
    file: fact('file') ?? '',
    form: (fact('form') ?? 'no-account') as KeyForm,
    link: fact('link'),
    mode: fact('mode'),
    owner: fact('owner'),
    isVolatile: fact('volatile') === 'yes',
    public: publicKey,
    fingerprint: fact('fingerprint'),
    wasAccepted: fact('accepted-before') === 'yes',
    made: publicKey === undefined ? undefined : dayMade(publicKey),
    rotating: rotating.includes('old') ? 'old' : rotating.includes('next') ? 'next' : undefined,
    ssh: {
      error: fact('configuration-error'),
      identities: factsOf(facts, 'identity'),
      isTokenLogin: fact('login') === 'authtoken' && fact('authentications') === 'none',
      sendsToken: fact('sends-token') === 'yes',
      identitiesOnly: fact('identities-only') === 'yes',
      alive: Number(fact('alive') ?? 0),
      isThroughput: fact('ipqos') === 'throughput',
      port: Number(fact('port') ?? 22),
      aliases: factsOf(facts, 'alias'),
      knownHostsFiles: factsOf(facts, 'known-hosts-file'),
      pinnedIn: factsOf(facts, 'pinned'),
      otherHostKeyIn: factsOf(facts, 'other-host-key'),
      isBlockOpen: fact('block') === 'open',
      isInStore: fact('configuration-rule') === 'store',
    },
  }
}

/** `host:account:2026-11-26`, the comment of keys that are made here. */
export const commentFor = (host: string, account: string, now: Date): string =>
  `${keyOwner(host, account)}:${now.toISOString().slice(0, 10)}`

/** `host:account`, by which whoever looks at an account at nixbuild.net knows whose a key is. */
export const keyOwner = (host: string, account: string): string =>
  [host, account].map((part) => part.replaceAll(/[^A-Za-z0-9_.-]/g, '_')).join(':')

function dayMade(publicKey: string): number | undefined {
  const day = /:(\d{4}-\d\d-\d\d)$/.exec(publicKey)?.[1]
  const time = Date.parse(day ?? '')
  return Number.isNaN(time) ? undefined : time
}

function machineLine(text: string): MachineLine {
  const [uri = '', , identity = '-', , , , , hostKey = '-'] = text.split(/\s+/)
  const inUri = /[?&]ssh-key=([^&]+)/.exec(uri)?.[1]
  const file = identity === '-' || identity === '' ? inUri : identity
  const encoded = hostKey === '-' ? /[?&]base64-ssh-public-host-key=([^&]+)/.exec(uri)?.[1] : hostKey
  return { text, uri, identityFile: file, hostKey: encoded && decoded(encoded) }
}

const decoded = (base64: string) => Buffer.from(base64, 'base64').toString().trim().split(/\s+/).slice(0, 2).join(' ')

/** What the daemon's ssh logs in with: the token, the file that it is given, or those that root's configuration names. */
export function daemonFiles({ builders, accounts, rootIdentities }: KeyHost): string[] {
  const root = accounts.find(({ account }) => account === 'root')
  if (root?.kind === 'token' && root.ssh.isTokenLogin) return builders.length > 0 ? [root.file] : []
  return [...new Set(builders.flatMap(({ identityFile }) => identityFile ?? rootIdentities))]
}

/** Whether the daemon's build hook would use this key. */
export const isDaemons = (host: KeyHost, { file }: AccountKey): boolean => daemonFiles(host).includes(file)

/** Whether the daemon would log in with this key: to build, or to fetch what is built already. */
export const isUsedByDaemon = (host: KeyHost, key: AccountKey): boolean => {
  const isRoots = key.kind === 'token' ? key.ssh.isTokenLogin : key.ssh.identities.includes(key.file)
  return isDaemons(host, key) || (key.account === 'root' && host.substituters.length > 0 && isRoots)
}
