/** `deploy keys [show|install|verify|rotate|revoke|module|why] HOST..` */

import { hasLogins, keyHosts } from '../inventory/key-hosts.ts'
import { parseDuration } from '../inventory/duration.ts'
import { nixosModule } from '../keys/module.ts'
import { explain } from '../keys/why.ts'
import { Problem } from '../problem.ts'
import { atWork } from './at-work.ts'
import { chosenHosts } from './chosen-hosts.ts'
import { concludeFindings } from './conclude.ts'
import { keysLines, publicKeyLines, whyLines } from './keys-lines.ts'
import { lookAt } from './look-at.ts'
import { once, outputOptions, selectionOptions } from './options.ts'
import { verb } from './verb.ts'

export const keyActions = ['show', 'install', 'verify', 'rotate', 'revoke', 'module', 'why'] as const
type KeyAction = (typeof keyActions)[number]

/** For somebody at the terminal to paste a line elsewhere. */
const pastingMs = 10 * 60_000

export const keys = verb({
  name: 'keys',
  words: '[action] [host..]',
  summary: 'the keys that hosts have at nixbuild.net: looked at, made, tried, changed, taken away',
  examples: [
    ['$0 keys dave', 'which keys there are, and whether they work'],
    ['$0 keys install dave', 'make and mend keys, and register them with the account'],
    ['$0 keys verify dave', 'try each key as the one who uses it; --local-rebuild: and a build on the host itself'],
    ['$0 keys rotate --all --max-age 90d', 'change the keys that are older'],
    ['$0 keys revoke dave', 'have the account forget the keys, and delete them'],
    ['$0 keys show dave', 'the public keys, one a line'],
    ['$0 keys module dave', 'what belongs into the NixOS configuration'],
    ['$0 keys why dave', 'which process connects with which key, and which keys nobody needs'],
  ],
  options: {
    ...selectionOptions,
    'max-age': {
      type: 'string',
      requiresArg: true,
      value: 'AGE',
      describe: 'rotate only keys that are older: 90d',
      group: 'How',
      coerce: (value: string | undefined): number | undefined => {
        const text = once('--max-age', value)
        const age = text === undefined ? undefined : parseDuration(text)
        if (text === undefined || age !== undefined) return age
        throw new Problem(`--max-age takes an age, not ${text || 'nothing'}`, { kind: 'usage', hints: ['say 90d'] })
      },
    },
    'local-rebuild': {
      type: 'boolean',
      describe: "verify, too, that a build on the host goes to nixbuild.net and not to the host's own processor",
      group: 'How',
    },
    ...outputOptions,
  } as const,
  async run(given, machine) {
    const [first, ...others] = given.words
    const action = keyActions.find((one) => one === first)
    refuseMisplaced(action, given)
    const choice = { ...given, words: action === undefined ? given.words : others }
    const { inventory, hosts: chosen } = await chosenHosts(choice, machine, keyHosts)
    const hosts = given.all ? chosen.filter((host) => hasLogins(host)) : chosen
    if (hosts.length === 0)
      throw new Problem('no host has nixbuildKeys or a nixbuildToken in hosts.yaml', { kind: 'usage' })
    const story = await import('../deployment/keys/index.ts')
    const place = { output: given, machine }
    const work = { inventory, hosts, verbose: given.verbose }

    if (action === 'why' || action === 'module') {
      const [found, signingKey] = await atWork(work, machine, (tools) =>
        Promise.all([
          lookAt(hosts, tools, action === 'why' ? story.lookAtDaemonsToo : story.lookAtKeys),
          action === 'why' ? undefined : story.signingKeyOf(tools),
        ]),
      )
      const service = { ...story.serviceOf(inventory.builders), signingKey }
      return concludeFindings(
        found,
        action === 'why'
          ? { lines: whyLines, data: explain }
          : {
              lines: (name, host) =>
                nixosModule(name.trim(), host, service)
                  .split('\n')
                  .map((line) => [line]),
              data: (host, name) => ({ module: nixosModule(name, host, service) }),
            },
        place,
      )
    }
    const without = hosts.find((host) => !hasLogins(host))
    if (without) throw withoutKeys(without.name)
    const patience = { waitMs: machine.terminal.isWatched ? pastingMs : 0 }
    const ask = {
      show: story.keysOf,
      install: (...[host, tools]) => story.installKeys(host, patience, tools),
      verify: (...[host, tools]) => story.verifyKeys(host, { localRebuild: given['local-rebuild'] ?? false }, tools),
      rotate: (...[host, tools]) => story.rotateKeys(host, { ...patience, maxAgeMs: given['max-age'] }, tools),
      revoke: (...[host, tools]) => story.revokeKeys(host, patience, tools),
      status: story.keysOf,
    } satisfies Record<string, typeof story.keysOf>
    const found = await atWork(work, machine, (tools) => lookAt(hosts, tools, ask[action ?? 'status']))
    return concludeFindings(
      found,
      action === 'show'
        ? { lines: publicKeyLines, data: ({ keys: all }) => ({ keys: all.map(({ public: line }) => line) }) }
        : {
            lines: (name, report, room) => keysLines(name, report, { room, now: machine.clock.now().getTime() }),
            data: (report) => report,
            countsAs: story.keysCountAs,
          },
      place,
    )
  },
})

function refuseMisplaced(
  action: KeyAction | undefined,
  given: { 'max-age': number | undefined; 'local-rebuild': boolean | undefined },
): void {
  const misplaced =
    given['max-age'] !== undefined && action !== 'rotate'
      ? ['--max-age', 'rotate']
      : given['local-rebuild'] && action !== 'verify'
        ? ['--local-rebuild', 'verify']
        : undefined
  if (!misplaced) return
  const [option, owner] = misplaced
  throw new Problem(`${option} is for deploy keys ${owner}`, {
    kind: 'usage',
    hints: [`deploy keys ${owner} HOST ${option}`],
  })
}

const withoutKeys = (host: string) =>
  new Problem(`hosts.yaml names no keys of ${host}`, {
    kind: 'usage',
    hints: [
      `say for which accounts: nixbuildKeys: [root]`,
      `\`deploy keys why ${host}\` says which accounts would use one; a host that only receives deployments needs none`,
    ],
  })
