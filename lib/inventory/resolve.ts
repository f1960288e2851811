/** From what the file says to what it means, and the mistakes that only the whole file shows. */
import { dirname, isAbsolute, resolve as resolvePath } from 'node:path'
import { builderFindings, buildersFor, localBuilder, resolveBuilder, unknownBuilder } from './builders.ts'
import { confirmWindowMistake } from './confirm-window.ts'
import { resolveHost } from './host.ts'
import type { BuilderSpec, Host, Inventory } from './inventory.ts'
import type { Finding, Path } from './mistake.ts'
import type { RawHost, RawInventory } from './schema.ts'
import { hasLogins } from './key-hosts.ts'

interface Source {
  /** What is sound of the file: a value with a mistake is left out. */
  readonly raw: Partial<RawInventory>
  /** The names of all hosts and builders that the file has, sound or not, in its order. */
  readonly hostNames: readonly string[]
  readonly builderNames: readonly string[]
  /** The mistakes found so far. */
  readonly findings: readonly Finding[]
}

/** The inventory is whole only when neither this nor what came before found a mistake. */
export function resolveInventory(file: string, source: Source): { inventory: Inventory; findings: Finding[] } {
  const { raw } = source
  const directory = dirname(file)
  const builders = new Map<string, BuilderSpec>()
  for (const name of source.builderNames) {
    const builder = ownValue(raw.builders, name)
    if (builder) builders.set(name, resolveBuilder(name, builder, directory))
  }
  const findings = builderFindings(raw.builders ?? {}, source.builderNames)
  const [onlyBuilder = localBuilder] = source.builderNames
  const hosts = new Map<string, Host>()
  for (const name of source.hostNames) {
    const own = ownValue(raw.hosts, name)
    if (!own) continue
    const defaults = raw.defaults ?? {}
    const host = resolveHost(name, { own, defaults, builder: onlyBuilder, directory })
    const fitting = buildersFor(host, builders)
    hosts.set(name, { ...host, builders: fitting })
    findings.push(...hostFindings(host, { own, defaults, fitting }, source))
  }
  for (const spec of builders.values()) {
    if (spec.kind !== 'ssh' || !spec.keyHost) continue
    const path: Path = ['builders', spec.name]
    findings.push(...loginFindings(spec.keyHost, (field) => [...path, field]))
    const twin = hosts.get(spec.name)
    if (twin === undefined || !hasLogins(twin)) continue
    const message = `has logins at nixbuild.net, and so has the host ${spec.name}: say them at one of the two`
    findings.push({ path, message, at: 'key' })
  }
  if (needsLocal([...hosts.values()], [...builders.values()]) && !builders.has(localBuilder)) {
    builders.set(localBuilder, { kind: 'local', name: localBuilder })
  }
  const inputs = Object.entries(raw.inputs ?? {}).map(
    ([name, source]) => [name, typeof source === 'string' ? resolvePath(directory, source) : source] as const,
  )
  const flake = raw.flake ?? '.'
  return {
    inventory: {
      file,
      directory,
      flake: flake.startsWith('.') || isAbsolute(flake) ? absoluteFlake(directory, flake) : flake,
      inputs: new Map(inputs),
      builders,
      hosts,
    },
    findings,
  }
}

/** What follows a question mark is for Nix. */
function absoluteFlake(directory: string, flake: string): string {
  const [path = '', ...query] = flake.split('?')
  return [resolvePath(directory, path), ...query].join('?')
}

/** A host called like something that every JavaScript object has was refused, and is not that something. */
const ownValue = <T>(map: Readonly<Record<string, T>> | undefined, name: string): T | undefined =>
  map && Object.hasOwn(map, name) ? map[name] : undefined

const needsLocal = (hosts: readonly Host[], builders: readonly BuilderSpec[]) =>
  hosts.some((host) => host.builders.includes(localBuilder)) ||
  builders.some((builder) => builder.kind === 'store' && builder.evaluateOn === localBuilder)

/** Of a host, or of a builder that is a machine as well. */
function loginFindings({ nixbuildToken, nixbuildKeys }: Host, whereIs: (field: 'nixbuildKeys') => Path): Finding[] {
  if (nixbuildToken === undefined || !nixbuildKeys.includes('root')) return []
  const message = 'has root, who logs in with a token: leave root out here, or leave the token out'
  return [{ path: whereIs('nixbuildKeys'), message, at: 'key' }]
}

interface Fields {
  readonly own: RawHost
  readonly defaults: RawHost
  /** those of its builders that build for its system */
  readonly fitting: readonly string[]
}

function hostFindings(host: Host, fields: Fields, source: Source): Finding[] {
  const here: Path = ['hosts', host.name]
  const whereIs = (field: keyof RawHost): Path => [...(field in fields.own ? here : ['defaults']), field]
  // A field that was given wrongly or misspelt is told of already.
  const isToldOf = (field: string) =>
    source.findings.some((finding) => {
      const above = finding.path.slice(0, finding.path[0] === 'hosts' ? 2 : 1)
      const concerns = above.join('\0') === here.join('\0') || finding.path[0] === 'defaults'
      return concerns && (finding.path[above.length] === field || finding.suggestion === field)
    })
  const findings: Finding[] = []
  const missing = (field: string, say: string) => {
    if (!isToldOf(field)) findings.push({ path: here, message: `${field} is missing: ${say}`, at: 'key' })
  }
  if (host.destination === '') missing('ssh', 'say what you would type after ssh, like ssh: root@dave.local')
  if (host.system === '') missing('system', 'say what the host is, like system: aarch64-linux')
  const isNamed = 'builder' in fields.own || 'builder' in fields.defaults
  const listed = Array.isArray(fields.own.builder ?? fields.defaults.builder)
  for (const [index, name] of isNamed ? host.builders.entries() : []) {
    if (name === localBuilder || source.builderNames.includes(name)) continue
    findings.push(unknownBuilder([...whereIs('builder'), ...(listed ? [index] : [])], name, source.builderNames))
  }
  if (fields.fitting.length === 0 && host.system !== '') {
    const none = host.builders.length === 1 ? `${host.builders[0]} does not build` : 'none of these builds'
    findings.push({
      path: isNamed ? whereIs('builder') : here,
      message: `${none} for ${host.system}, which is what ${host.name} is`,
      ...(!isNamed && { at: 'key' as const }),
    })
  }
  if (!isNamed && source.builderNames.length > 1) missing('builder', `say which of ${source.builderNames.join(', ')}`)
  findings.push(...loginFindings(host, whereIs))
  const window = confirmWindowMistake(host)
  if (window && !isToldOf('activation') && !isToldOf('checks')) {
    findings.push({
      path: whereIs('activation' in fields.own || 'activation' in fields.defaults ? 'activation' : 'checks'),
      message: window,
      at: 'key',
    })
  }
  return findings
}
