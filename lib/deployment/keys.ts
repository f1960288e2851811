/** The stories of `deploy keys`: looking, installing, verifying, changing and taking away. */
import { nixbuildAccount } from '../builders/nixbuild.ts'
import type { Host, Inventory } from '../inventory/inventory.ts'
import { changeAccount, commandFor, tookOf, within } from '../keys/account.ts'
import { type Acceptance, acceptanceFinding, type Finding, findingsOf } from '../keys/findings.ts'
import { lockKeys } from '../keys/lock.ts'
import { type Answer, type Asking, askHost, factOf, factsOf } from '../keys/program.ts'
import { type AccountKey, commentFor, isDaemons, type KeyHost, keyOwner, readKeys } from '../keys/state.ts'
import { nixbuildHost, nixbuildHostKey } from '../nix/nixbuild.ts'
import { Problem } from '../problem.ts'
import type { OutcomeKind } from './outcome.ts'
import { type Seen, see } from './status.ts'
import type { Tools } from './tools.ts'

export interface ManagedKey extends AccountKey {
  readonly usedByDaemon: boolean
  readonly acceptance: Acceptance
  readonly findings: readonly Finding[]
}

/** One use of a key, tried as the one who will use it. */
export interface Verification {
  readonly account: string
  /** build: the daemon's hook builds something tiny there; store: `nix store info` as that user */
  readonly way: 'build' | 'store' | 'local-rebuild'
  readonly works: boolean
  /** false: the daemon has no builder there, and was given one for this */
  readonly isConfigured: boolean
  /** where it was built */
  readonly on: string | undefined
  /** the end of what Nix said */
  readonly said: string
}

export interface KeysReport {
  readonly keys: readonly ManagedKey[]
  readonly host: Omit<KeyHost, 'accounts'>
  /** what was changed, one line each */
  readonly did: readonly string[]
  /** what could not be, with what to do */
  readonly couldNot: readonly Undone[]
  readonly verified: readonly Verification[]
}

export interface Undone {
  readonly text: string
  readonly mend: string
}

/** What it counts as for the exit code, when it is no success. */
export const keysCountAs = ({ keys, couldNot, verified }: KeysReport): OutcomeKind | undefined =>
  couldNot.length > 0 || keys.some(({ findings }) => findings.length > 0) || verified.some(({ works }) => !works)
    ? 'untouched'
    : undefined

/** The service as the inventory has it. */
export function serviceOf(builders: Inventory['builders']) {
  const spec = nixbuildAccount(builders)
  return {
    port: Number(/:(\d+)\/?$/.exec(spec.destination)?.[1] ?? 22),
    hostKey: spec.hostKey ?? nixbuildHostKey.key,
    commands: spec.keyCommands,
  }
}

interface Place {
  readonly host: Host
  readonly tools: Tools
  readonly asking: Asking
  readonly service: ReturnType<typeof serviceOf>
}

/** Logs in once and tells the story; a host without `nixbuildKeys` has none. */
function visit<T>(host: Host, tools: Tools, story: (place: Place) => Promise<T>): Promise<Seen<T>> {
  return see(host, tools, async (machine) => {
    const asking = { machine, program: await tools.keys.program(), signal: tools.signal }
    return story({ host, tools, asking, service: serviceOf(tools.keys.builders) })
  })
}

/** The same for what changes keys: one at a time on each host. */
function visitAlone(host: Host, tools: Tools, what: string, story: (place: Place) => Promise<KeysReport>) {
  return visit(host, tools, async (place) => {
    const who = `${tools.who} (deploy keys ${what}, since ${tools.clock.now().toISOString()})`
    const lock = await lockKeys(place.asking, who, tools.clock)
    const signal = AbortSignal.any([tools.signal, lock.lost])
    try {
      return await story({ ...place, tools: { ...tools, signal }, asking: { ...place.asking, signal } })
    } finally {
      await lock.release()
    }
  })
}

const accountsOf = ({ host }: Place) => host.nixbuildKeys

/** What the host has, without asking the service. Of no accounts in particular, for hosts that manage none. */
export const lookAtKeys = (host: Host, tools: Tools): Promise<Seen<KeyHost>> =>
  visit(host, tools, ({ asking, service }) => {
    const own = asking.machine.user === 'root' ? [] : [asking.machine.user]
    const accounts = host.nixbuildKeys.length > 0 ? host.nixbuildKeys : ['root', ...own]
    return readKeys(asking, { accounts, hostKey: service.hostKey })
  })

export const keysOf = (host: Host, tools: Tools): Promise<Seen<KeysReport>> =>
  visit(host, tools, (place) => reportOn(place, {}))

type Happened = Partial<Pick<KeysReport, 'did' | 'couldNot' | 'verified'>>

/** `accepted`: what the service is known to accept by now; it is asked otherwise. */
async function reportOn(
  place: Place,
  { did = [], couldNot = [], verified = [] }: Happened,
  known?: ReadonlyMap<string, Accepted>,
): Promise<KeysReport> {
  const { host, asking, service } = place
  const [state, accepted] = await Promise.all([
    readKeys(asking, { accounts: accountsOf(place), hostKey: service.hostKey }),
    known ?? acceptances(place, accountsOf(place)),
  ])
  const keys = state.accounts.map((key): ManagedKey => {
    const answer = accepted.get(key.account) ?? { acceptance: 'unknown', said: '' }
    const own = findingsOf(host.name, key, service)
    // A key that ssh passes over is refused as well.
    const isUsable = own.every(({ code }) => !['owner', 'mode', key.form].includes(code))
    const findings = [...own, ...(isUsable ? acceptanceFinding(host.name, key.account, answer) : [])]
    return { ...key, usedByDaemon: isDaemons(state, key), acceptance: answer.acceptance, findings }
  })
  const { accounts: _, ...rest } = state
  return { keys, host: rest, did, couldNot, verified }
}

interface Accepted {
  readonly acceptance: Acceptance
  readonly said: string
}

async function acceptances(
  { asking, service }: Place,
  accounts: readonly string[],
  suffix = '',
): Promise<Map<string, Accepted>> {
  const hostKey = service.hostKey.split(' ').slice(0, 2)
  const words = [String(service.port), ...hostKey, suffix || '-', ...accounts]
  const answer = await askHost(asking, 'acceptance', ...words)
  // They answer in any order.
  return new Map(
    accounts.map((account) => {
      const facts = answer.accounts.get(account) ?? []
      const [, word = 'unknown', said = ''] = /^(\S+) ?(.*)$/.exec(factOf(facts, 'accepted') ?? '') ?? []
      return [account, { acceptance: word as Acceptance, said }]
    }),
  )
}

const acceptanceOf = async (place: Place, account: string, suffix = ''): Promise<Accepted> =>
  (await acceptances(place, [account], suffix)).get(account) ?? { acceptance: 'unknown', said: '' }

/** What the host program says that it did, and what not. */
const happenedIn = (answer: Answer, mend: string) => ({
  did: factsOf(answer.machine, 'did'),
  couldNot: factsOf(answer.machine, 'could-not').map((text) => ({ text, mend })),
})

/** What is being done, also for who only reads lines (-v). */
function progress({ host, tools }: Place, text: string): void {
  tools.report({ kind: 'progress', host: host.name, stage: 'preflight', text })
  tools.report({ kind: 'log', host: host.name, stage: 'preflight', line: text })
}

export interface Patience {
  /** for somebody to paste a line by hand */
  readonly waitMs: number
}

/** Makes and mends keys and what ssh reads, then has the account know them. What is right already is left alone. */
export const installKeys = (host: Host, patience: Patience, tools: Tools): Promise<Seen<KeysReport>> =>
  visitAlone(host, tools, 'install', async (place) => {
    const { asking, service } = place
    progress(place, 'installing keys')
    const comments = accountsOf(place).flatMap((account) => [
      account,
      commentFor(host.name, account, tools.clock.now()),
    ])
    const answer = await askHost(asking, 'install', String(service.port), ...pinned(service.hostKey), ...comments)
    const happened = happenedIn(
      answer,
      `\`deploy keys module ${host.name}\` prints what the configuration can say instead`,
    )
    const did = [...happened.did]
    const couldNot = [...happened.couldNot]
    const accepted = await acceptances(place, accountsOf(place))
    for (const [account, { acceptance }] of accepted) {
      if (acceptance !== 'refused') continue
      const key = await keyOn(place, account, '')
      if (key === undefined) continue
      const end = await change(place, 'add', key, patience)
      did.push(...end.did)
      couldNot.push(...end.couldNot)
      if (end.couldNot.length === 0) accepted.set(account, { acceptance: 'yes', said: '' })
    }
    return reportOn(place, { did, couldNot }, accepted)
  })

const pinned = (hostKey: string) => hostKey.split(' ').slice(0, 2)

interface Key {
  readonly account: string
  readonly publicKey: string
  /** of its file: `.next` or `.old` in a rotation, `.unusable`, `.unusable.2`, … of those that were set aside */
  readonly suffix: string
}

/** Has the account add or remove a key; if it takes no line of ours, somebody else types it. */
async function change(place: Place, what: 'add' | 'remove', key: Key, { waitMs }: Patience) {
  const { host, tools, service } = place
  const line = commandFor(service.commands[what], key.publicKey)
  const took = async () => tookOf(what, (await acceptanceOf(place, key.account, key.suffix)).acceptance)
  const past = what === 'add' ? 'registered with' : 'removed from'
  progress(place, `the key of ${key.account} is being ${past} the account`)
  const access = { login: tools.keys.login, clock: tools.clock, signal: tools.signal }
  const changed = await changeAccount(line, access, took)
  if (changed.kind === 'done') {
    return { did: [`${key.account}: key ${past} the account (${changed.way})`], couldNot: [] }
  }
  const mend = `with a key that the account has: ssh ${nixbuildHost} shell, then: ${line}`
  if (waitMs > 0) {
    tools.report({ kind: 'warning', host: host.name, text: `waiting until it is done ${mend}` })
    if ((await within(waitMs, access, took)) === 'yes')
      return { did: [`${key.account}: key ${past} the account (by hand)`], couldNot: [] }
  }
  const text = `${key.account}: the key could not be ${past} the account (${changed.said.join('; ')})`
  return { did: [], couldNot: [{ text, mend }] }
}

/** The same, unless the key is there or gone already. What can't be asked is left alone. */
async function ensure(place: Place, what: 'add' | 'remove', key: Key, patience: Patience) {
  const before = await acceptanceOf(place, key.account, key.suffix)
  const took = tookOf(what, before.acceptance)
  if (took === 'yes') return { did: [], couldNot: [] }
  if (took === 'unknown') return { did: [], couldNot: [unasked(key.account, before)] }
  return change(place, what, key, patience)
}

const unasked = (account: string, { said }: Accepted): Undone => ({
  text: `${account}: whether the service knows the key could not be asked: ${said || 'no answer'}`,
  mend: 'the key was left as it is: try once more when the service can be reached from there',
})

/** Of all that an account has: in place, to come, gone, set aside. */
async function keysOn({ asking }: Place, account: string): Promise<Key[]> {
  const answer = await askHost(asking, 'publics', account)
  return factsOf(answer.accounts.get(account) ?? [], 'public').map((text) => {
    const [, suffix = '', publicKey = ''] = /^(\S+) (.*)$/.exec(text) ?? []
    return { account, publicKey, suffix: suffix === '-' ? '' : suffix }
  })
}

const keyOn = async (place: Place, account: string, suffix: string): Promise<Key | undefined> =>
  (await keysOn(place, account)).find((key) => key.suffix === suffix)

// --- verifying

/** Each key as the one who uses it: root's through the daemon's build hook, a user's as that user. */
export const verifyKeys = (
  host: Host,
  { localRebuild }: { localRebuild: boolean },
  tools: Tools,
): Promise<Seen<KeysReport>> =>
  visit(host, tools, async (place) => {
    const verified = await verifyAll(place, accountsOf(place))
    if (localRebuild) {
      const user = accountsOf(place).find((account) => account !== 'root') ?? 'root'
      verified.push(...(await verifyWays(place, [`${user}=local-rebuild`])))
    }
    const report = await reportOn(place, { verified })
    return { ...report, verified: verified.map((one) => (isElsewhere(one, report) ? { ...one, works: false } : one)) }
  })

/** Built, but by a builder that isn't the service. */
const isElsewhere = ({ way, on = '' }: Verification, { host }: KeysReport) =>
  way === 'local-rebuild' && !on.includes(nixbuildHost) && !host.builders.some(({ uri }) => uri === on)

/** A user's key that the daemon is given is the daemon's as well. */
async function verifyAll(place: Place, accounts: readonly string[]): Promise<Verification[]> {
  const state = await readKeys(place.asking, { accounts, hostKey: place.service.hostKey })
  const ways = state.accounts.flatMap((key) => [
    ...(key.account === 'root' ? [] : [`${key.account}=store`]),
    ...(key.account === 'root' || isDaemons(state, key) ? ['root=build'] : []),
  ])
  return verifyWays(place, [...new Set(ways)])
}

async function verifyWays(place: Place, ways: readonly string[]): Promise<Verification[]> {
  progress(place, 'trying the keys')
  const answer = await askHost(place.asking, 'verify', ...ways)
  return [...answer.accounts].flatMap(([account, facts]) => {
    const way = factOf(facts, 'way') as Verification['way'] | undefined
    if (way === undefined) return []
    return {
      account,
      way,
      works: factOf(facts, 'works') === 'yes',
      isConfigured: factOf(facts, 'configured') !== 'no',
      on: factOf(facts, 'on'),
      said: factsOf(facts, 'said').join('\n'),
    }
  })
}

// --- changing

export interface RotateOptions extends Patience {
  /** younger keys are left alone */
  readonly maxAgeMs: number | undefined
}

/** At any time there is a key that works; what was interrupted goes on. */
export const rotateKeys = (host: Host, options: RotateOptions, tools: Tools): Promise<Seen<KeysReport>> =>
  visitAlone(host, tools, 'rotate', async (place) => {
    const state = await readKeys(place.asking, { accounts: accountsOf(place), hostKey: place.service.hostKey })
    const did: string[] = []
    const couldNot: Undone[] = []
    const verified: Verification[] = []
    for (const key of state.accounts) {
      if (key.rotating === undefined && isYoung(key, options.maxAgeMs, tools.clock.now().getTime())) continue
      const end = await rotateKey(place, key, options)
      did.push(...end.did)
      couldNot.push(...end.couldNot)
      verified.push(...end.verified)
    }
    return reportOn(place, { did, couldNot, verified })
  })

/** A key of unknown age is none. */
const isYoung = ({ made }: AccountKey, maxAgeMs: number | undefined, now: number) =>
  maxAgeMs !== undefined && made !== undefined && now - made < maxAgeMs

async function rotateKey(place: Place, key: AccountKey, patience: Patience): Promise<Required<Happened>> {
  const { host, tools, asking } = place
  const { account } = key
  const again = `deploy keys rotate ${host.name}`
  const did: string[] = []
  const stopped = (text: string, mend = again, verified: Verification[] = []): Required<Happened> => ({
    did,
    couldNot: [{ text: `${account}: ${text}`, mend }],
    verified,
  })
  if (key.form !== 'ok') {
    const why = findingsOf(host.name, key, place.service).find(({ code }) => code === key.form)
    return stopped(`there is no usable key to change: ${why?.text ?? key.form}`, why?.mend)
  }

  progress(place, `making a new key for ${account}`)
  const comment = commentFor(host.name, account, tools.clock.now())
  const made = happenedIn(await askHost(asking, 'make-next', account, comment), again)
  did.push(...made.did)
  if (made.couldNot.length > 0) return { did, couldNot: made.couldNot, verified: [] }

  const next = await keyOn(place, account, '.next')
  if (next === undefined && (await keyOn(place, account, '.old')) === undefined)
    return stopped('no new key could be made')
  if (next !== undefined) {
    const end = await ensure(place, 'add', next, patience)
    did.push(...end.did)
    if (end.couldNot.length > 0) return { did, couldNot: end.couldNot, verified: [] }
  }
  const swapped = happenedIn(await askHost(asking, 'swap', account), again)
  if (swapped.couldNot.length > 0) return { did, couldNot: swapped.couldNot, verified: [] }

  // Beside the old one, which ssh would fall back to.
  const inPlace = await acceptanceOf(place, account)
  if (tookOf('add', inPlace.acceptance) === 'unknown')
    return { did, couldNot: [unasked(account, inPlace)], verified: [] }
  const isLetIn = inPlace.acceptance === 'yes'
  const verified = isLetIn ? await verifyAll(place, [account]) : []
  if (!isLetIn || !verified.every(({ works }) => works)) {
    const failed = 'the new key does not work where it is used'
    // It may be gone from the account already, when this goes on after an interruption.
    if ((await acceptanceOf(place, account, '.old')).acceptance !== 'yes') {
      const mend = isLetIn ? again : `deploy keys install ${host.name}`
      return stopped(`${failed}, and stays in its place: the old one was not seen to be let in`, mend, verified)
    }
    const back = happenedIn(await askHost(asking, 'swap-back', account), again)
    if (back.couldNot.length > 0) return { did, couldNot: back.couldNot, verified }
    return stopped(`${failed}: the old one is in its place again`, again, verified)
  }
  const old = await keyOn(place, account, '.old')
  if (old !== undefined) {
    const end = await ensure(place, 'remove', old, patience)
    did.push(...end.did)
    if (end.couldNot.length > 0) return { did, couldNot: end.couldNot, verified }
  }
  const dropped = happenedIn(await askHost(asking, 'drop-old', account), again)
  if (dropped.couldNot.length > 0) return { did, couldNot: dropped.couldNot, verified }
  did.push(`${account}: the new key is in use, and the old one is refused`)
  return { did, couldNot: [], verified }
}

// --- taking away

/** The account forgets the keys, which is shown by their being refused; then they are deleted on the host. */
export const revokeKeys = (host: Host, patience: Patience, tools: Tools): Promise<Seen<KeysReport>> =>
  visitAlone(host, tools, 'revoke', async (place) => {
    const did: string[] = []
    const couldNot: Undone[] = []
    const state = await readKeys(place.asking, { accounts: accountsOf(place), hostKey: place.service.hostKey })
    for (const { account, file, form, link } of state.accounts) {
      if (form === 'no-account') {
        couldNot.push({
          text: `${account}: there is no such account on the host: should it have had a key, nixbuild.net still knows it`,
          mend: `ssh ${nixbuildHost} shell: the comment of its key begins with ${keyOwner(host.name, account)}; then leave ${account} out of nixbuildKeys in hosts.yaml`,
        })
        continue
      }
      if (link !== undefined) {
        couldNot.push({
          text: `${account}: ${file} is a link to ${link}, and the key stays in the account`,
          mend: 'take it away where it comes from; then remove the key in the shell of the service',
        })
        continue
      }
      let isForgotten = true
      for (const key of await keysOn(place, account)) {
        const end = await ensure(place, 'remove', key, patience)
        did.push(...end.did)
        couldNot.push(...end.couldNot)
        isForgotten &&= end.couldNot.length === 0
      }
      if (!isForgotten) continue
      const gone = happenedIn(await askHost(place.asking, 'forget', account), `deploy keys revoke ${host.name}`)
      did.push(...gone.did)
      couldNot.push(...gone.couldNot)
    }
    const { host: rest } = await reportOn(place, {})
    return { keys: [], host: rest, did, couldNot, verified: [] }
  })

// --- in a deployment, and for the doctor

/** What is wrong with the keys of a host, by account, as far as the host itself can tell. In one question. */
export async function brokenKeys(
  host: Host,
  tools: Tools,
  machine: Asking['machine'],
): Promise<Map<string, readonly Finding[]>> {
  const service = serviceOf(tools.keys.builders)
  const asking = { machine, program: await tools.keys.program(), signal: tools.signal }
  const { accounts } = await readKeys(asking, { accounts: host.nixbuildKeys, hostKey: service.hostKey })
  return new Map(accounts.map((key) => [key.account, findingsOf(host.name, key, service)]))
}

/** A key that is broken stops no deployment, and is told. */
export async function warnOfKeys(host: Host, tools: Tools, machine: Asking['machine']): Promise<void> {
  if (host.nixbuildKeys.length === 0) return
  const warn = (text: string) => tools.report({ kind: 'warning', host: host.name, text })
  try {
    for (const [account, [first, ...more]] of await brokenKeys(host, tools, machine)) {
      if (!first) continue
      const others = more.length > 0 ? ` (and ${more.length} more)` : ''
      warn(`nixbuild.net key of ${account}: ${first.text}${others}: ${first.mend}`)
    }
  } catch (error) {
    if (!(error instanceof Problem) || tools.signal.aborted) throw error
    warn(`nixbuild.net keys: ${error.message}`)
  }
}
