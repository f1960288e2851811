/** Keys of hosts, in words. */
import { keysCountAs, type KeysReport, type ManagedKey, type Verification } from '../deployment/keys/report.ts'
import type { KeyHost } from '../keys/state.ts'
import { explain } from '../keys/why.ts'
import { bad, careful, good, type Line, quiet, strong } from '../screen/line.ts'
import { padded, widthOf, wrapped } from '../screen/width.ts'
import { below, detailLines } from './below.ts'
import type { Room } from './room.ts'

const dayMs = 86_400_000

/** The host, what was done, then each account with what is wrong and how it is mended. */
export function keysLines(name: string, report: KeysReport, { room, now }: { room: Room; now: number }): Line[] {
  const { keys, did, couldNot, verified } = report
  const fit = fitting(room)
  const width = Math.max(0, ...keys.map(({ account }) => widthOf(account)))
  const fails = keysCountAs(report) !== undefined
  return [
    ...fit([fails ? bad('✗') : good('✓'), ` ${name}  `, headline(report)]),
    ...did.flatMap((text) => fit([`    ${text}`])),
    ...couldNot.flatMap(({ text, mend }) => [...fit(['    ', bad('✗'), ` ${text}`]), ...hint(mend, room)]),
    ...keys.flatMap((key) => keyLines(key, { width, now, room })),
    ...(keys.length > 0 ? fit(['    ', quiet(rules(name.trimEnd(), report.machine))]) : []),
    ...verified.flatMap((one) => verificationLines(one, { name: name.trimEnd(), room })),
  ]
}

function headline({ keys, couldNot, did }: KeysReport): string {
  if (keys.length === 0)
    return couldNot.length > 0 ? 'keys are left' : did.length > 0 ? 'keys revoked' : 'no key was there'
  const what = keys.every(({ kind }) => kind === 'key') ? 'key' : keys.length === 1 ? 'token' : 'login'
  const count = keys.length === 1 ? `1 ${what}` : `${keys.length} ${what}s`
  const broken = keys.filter(({ findings }) => findings.length > 0).length
  return broken > 0 ? `${broken} of ${count} not in order` : `${count} at nixbuild.net in order`
}

/** Who decides what stands in /etc, where every account's ssh looks. */
const rules = (name: string, { systemRule }: KeysReport['machine']) =>
  systemRule === 'configuration'
    ? `/etc/ssh comes from the NixOS configuration: \`deploy keys module ${name}\` prints what belongs there`
    : '/etc/ssh is written by hand: no configuration undoes it'

interface Place {
  readonly width: number
  readonly now: number
  readonly room: Room
}

function keyLines(key: ManagedKey, { width, now, room }: Place): Line[] {
  const fit = fitting(room)
  const facts = [
    key.fingerprint ?? key.file,
    ...(key.kind === 'token' ? [] : [ageOf(key, now)]),
    ...(key.mode === undefined ? [] : [`mode ${key.mode}`]),
    usersOf(key),
    ...(key.ssh.pinnedIn.length > 0 ? ['host key pinned'] : []),
    ...(key.acceptance === 'yes' ? ['accepted'] : key.acceptance === 'refused' ? ['not accepted'] : []),
  ]
  return [
    ...fit([`    ${padded(key.account, width)}  `, ...(key.form === 'missing' ? [] : [quiet(facts.join(', '))])]),
    ...key.findings.flatMap(({ text, mend }) => [...fit(['      ', bad('✗'), ` ${text}`]), ...hint(mend, room)]),
  ]
}

function usersOf({ account, usedByDaemon }: ManagedKey): string {
  const users = [...(usedByDaemon ? ['the daemon'] : []), ...(account === 'root' ? [] : ['the user'])]
  return users.length > 0 ? `used by ${users.join(' and ')}` : 'not used by the daemon'
}

const ageOf = ({ made }: ManagedKey, now: number) =>
  made === undefined ? 'age unknown' : `${Math.max(0, Math.floor((now - made) / dayMs))} days old`

const ways: Readonly<Record<Verification['way'], string>> = {
  build: 'a build through the daemon',
  store: 'nix store info',
  'local-rebuild': 'a build started on the host itself, with --max-jobs 0',
}

function verificationLines(verification: Verification, { name, room }: { name: string; room: Room }): Line[] {
  const { account, way, works, isConfigured, on, said } = verification
  const fit = fitting(room)
  const where = on === undefined ? '' : `, built on ${on}`
  const given = isConfigured
    ? ''
    : "; the daemon's own configuration has no builder there, so it was given one for this"
  return [
    ...fit([
      '    ',
      works ? good('✓') : bad('✗'),
      ` ${account}: ${ways[way]} ${works ? 'works' : 'fails'}${where}${given}`,
    ]),
    ...(works ? [] : detailLines(said, { columns: room.columns, limit: room.verbose ? 100 : 8 })),
    ...(works || way !== 'local-rebuild'
      ? []
      : hint(`\`deploy keys module ${name}\` prints what the configuration needs for it`, room)),
  ]
}

const hint = (mend: string, room: Room) => below({ detail: '', hints: [mend] }, room)

const fitting =
  ({ columns = Number.POSITIVE_INFINITY }: Room) =>
  (line: Line) =>
    wrapped(line, columns, 6)

/** As they are pasted elsewhere. */
export const publicKeyLines = (_name: string, { keys }: KeysReport): Line[] =>
  keys.flatMap((key): Line[] => (key.public === undefined ? [] : [[key.public]]))

export function whyLines(name: string, host: KeyHost, room: Room): Line[] {
  const fit = fitting(room)
  const { connections, notNeeded } = explain(host)
  return [
    [strong(name.trimEnd())],
    ...connections.flatMap(({ started, as, keys, knownHosts }) => [
      ...fit([`  ${started}`]),
      ...fit([quiet(`    ssh as ${as}; keys ${keyNames(keys)}; host keys in ${knownHosts.join(', ')}`)]),
    ]),
    [careful('  not needed')],
    ...notNeeded.flatMap((text) => fit([`    ${text}`])),
  ]
}

/** ssh's own defaults are many, and tried where nothing names a key. */
const keyNames = (files: readonly string[]) =>
  files.every((file) => /\/\.ssh\/id_[a-z0-9_]+$/.test(file)) ? "by ssh's defaults (~/.ssh/id_*)" : files.join(', ')
