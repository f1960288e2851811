/**
 * nixbuild.net, as documented (docs.nixbuild.net): a store that builds, reached with an Ed25519 key of the account or
 * with a token. Whatever user logs in with a key, the key alone counts.
 */
import { nixbuildKeyCommands } from '../inventory/builders.ts'
import type { Inventory, StoreSpec } from '../inventory/inventory.ts'
import { quotePosix } from '../machine/command.ts'
import type { Login } from '../machine/machine.ts'
import { shortName } from '../nix/activity.ts'
import { nixbuildHost, nixbuildHostKey, nixbuildTokenCommand } from '../nix/nixbuild.ts'
import { Problem, partsOf } from '../problem.ts'

/** The SSH options of the same page. `PubkeyAcceptedKeyTypes` is the name that old and new versions of OpenSSH know. */
const options = { PubkeyAcceptedKeyTypes: 'ssh-ed25519', ServerAliveInterval: '60', IPQoS: 'throughput' }

/** The login with all that the service wants to see, in place of what hosts.yaml doesn't say. */
export function nixbuildLogin(login: Login, { settings, tags }: StoreSpec, token: string | undefined): Login {
  const variables = [
    ...[...settings].map(([name, value]) => [variable(name), value] as const),
    ...[...tags].map(([name, value]) => [variable(`tag-${name}`), value] as const),
  ]
  const known: Login = {
    ...login,
    hostKey: login.hostKey ?? nixbuildHostKey,
    options: { ...options, ...login.options },
    environment: Object.fromEntries(variables),
  }
  return token === undefined ? known : withToken(known, token)
}

const variable = (name: string) => `NIXBUILDNET_${name.toUpperCase().replaceAll('-', '_')}`

/** The action still sends the older name `token` as well. */
const withToken = (login: Login, token: string): Login => ({
  ...login,
  destination: login.destination.replace(/^ssh:\/\/(?:[^@/]*@)?/, 'ssh://authtoken@'),
  options: { ...login.options, PreferredAuthentications: 'none', PubkeyAuthentication: 'no' },
  environment: { ...login.environment, NIXBUILDNET_TOKEN: token, token },
})

/** The account at nixbuild.net: that of the first builder that is there, or else as the SSH configuration says. */
export function nixbuildAccount(builders: Inventory['builders']): StoreSpec {
  for (const spec of builders.values()) if (spec.kind === 'store' && spec.service === 'nixbuild.net') return spec
  return {
    kind: 'store',
    name: 'nixbuild.net',
    systems: undefined,
    destination: `ssh://${nixbuildHost}`,
    evaluateOn: '',
    buildHook: false,
    service: 'nixbuild.net',
    identityFile: undefined,
    hostKey: undefined,
    token: undefined,
    keyCommands: nixbuildKeyCommands,
    settings: new Map(),
    tags: new Map(),
  }
}

/** In two lines: what is missing, and how to get it. */
export function whatNixbuildWants(refusal: Problem, { token, identityFile }: StoreSpec): Problem {
  if (token !== undefined)
    return withTokenHints(new Problem('nixbuild.net does not accept the token', { kind: refusal.kind }))
  const make = 'ssh-keygen -t ed25519'
  const way =
    identityFile === undefined
      ? `${make}, and name it with identityFile`
      : `${make} -f ${quotePosix(identityFile)}; its public half is ${identityFile}.pub`
  return new Problem('nixbuild.net knows none of the keys that were offered', {
    ...partsOf(refusal),
    hints: [
      `it takes Ed25519 keys of an account (https://nixbuild.net): make one with ${way}`,
      `have it added with a key that the account has: ssh ${nixbuildHost} shell, then: ssh-keys add ssh-ed25519 AAAA…`,
    ],
  })
}

/** For what goes wrong once we are logged in with a token: whether it is any good may be looked at only then. */
export const withTokenHints = (problem: Problem): Problem =>
  new Problem(problem.message, {
    ...partsOf(problem),
    hints: [
      ...problem.hints,
      `make a token that may build, with a key of the account: ssh ${nixbuildHost} shell`,
      `then: ${nixbuildTokenCommand}`,
    ],
  })

/** Of a build's log, the lines that the service adds: `[nixbuild.net] Build 1 finished in 11 seconds with …`. */
export function nixbuildWords(line: string): string | undefined {
  const [, words] = /^(?:\S+> )?\[nixbuild\.net\] (.+)$/.exec(line) ?? []
  return words && `nixbuild.net: ${words}`
}

export const nixbuildLog = (derivation: string): string =>
  `nixbuild.net keeps the whole log of ${shortName(derivation)}: ssh ${nixbuildHost} shell, then help builds`
