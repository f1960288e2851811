/** Which process of a host opens which connection to nixbuild.net, with which key, and which keys nobody needs. */
import { nixbuildHost } from '../nix/nixbuild.ts'
import { type AccountKey, daemonFiles, isDaemons, type KeyHost } from './state.ts'

export interface Connection {
  /** what a person starts */
  readonly started: string
  /** the account whose ssh connects; empty: there is no connection */
  readonly as: string
  readonly keys: readonly string[]
  readonly knownHosts: readonly string[]
}

export interface Explanation {
  readonly connections: readonly Connection[]
  /** managed keys that no process of this host uses by itself, and why */
  readonly notNeeded: readonly string[]
}

export function explain(host: KeyHost): Explanation {
  const root = host.accounts.find(({ account }) => account === 'root')
  return {
    connections: [
      ...host.builders.map((line) => ({
        started: `a build, by whoever it is asked for: the Nix daemon's hook, for \`${line.text}\``,
        as: 'root',
        keys: [...(line.identityFile === undefined || isByToken(root) ? [] : [line.identityFile]), ...existing(root)],
        knownHosts:
          line.hostKey !== undefined ? ['the host key in that line itself'] : (root?.ssh.knownHostsFiles ?? []),
      })),
      ...host.substituters.map((store) => ({
        started: `fetching what is built already: the Nix daemon, from ${store}`,
        as: 'root',
        keys: existing(root),
        knownHosts: root?.ssh.knownHostsFiles ?? [],
      })),
      ...host.accounts.map((key) => ({
        started: `\`nix build --store ssh-ng://${nixbuildHost}\`, \`nix copy --from\`, \`ssh ${nixbuildHost} shell\` typed by ${key.account}`,
        as: key.account,
        keys: existing(key),
        knownHosts: key.ssh.knownHostsFiles,
      })),
    ],
    notNeeded: notNeeded(host),
  }
}

const isByToken = (key: AccountKey | undefined) => key?.kind === 'token' && key.ssh.isTokenLogin

/** Without the one that is there only while a key is changed. */
const existing = (key: AccountKey | undefined) =>
  key !== undefined && isByToken(key)
    ? [`the token in ${key.file}`]
    : (key?.ssh.identities ?? []).filter((file) => !file.endsWith('.old'))

function notNeeded(host: KeyHost): string[] {
  const sentences: string[] = []
  const daemons = host.builders.length > 0 || host.substituters.length > 0
  if (!daemons) {
    sentences.push(
      'the daemon has no builder and no substituter there: nothing that this host does by itself needs a key',
    )
  }
  for (const key of host.accounts) {
    const isRoot = key.account === 'root'
    if (isRoot && daemons && !isDaemons(host, key) && host.substituters.length === 0) {
      const used = daemonFiles(host).join(', ')
      const when = key.ssh.identities.includes(key.file)
        ? "tries root's own key only where that is refused"
        : "does not look for root's own key"
      sentences.push(`${key.file}: the daemon is given ${used} and ${when}`)
    }
    if (!isRoot && !isDaemons(host, key)) {
      sentences.push(
        `${key.file}: only for what ${key.account} types with --store, nix copy or ssh; builds go through root's ssh`,
      )
    }
  }
  sentences.push('a host that only receives deployments needs none at all: it is built for elsewhere, and copied to')
  return sentences
}
