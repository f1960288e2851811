/** The builders of an inventory, and which of them a host uses. */
import { resolve as resolvePath } from 'node:path'
import { resolveHost } from './host.ts'
import type { BuilderSpec, Host, KeyCommands } from './inventory.ts'
import type { Finding } from './mistake.ts'
import { hasLogins } from './key-hosts.ts'
import { resolveToken } from './token.ts'
import type { RawBuilder } from './schema.ts'
import { closest } from './suggestion.ts'

/** This name is the control machine's own Nix, whether or not the file lists it. */
export const localBuilder = 'local'

/** `add` is documented (docs.nixbuild.net/configuration); `remove` is what goes with it, and was never seen. */
export const nixbuildKeyCommands: KeyCommands = {
  add: 'ssh-keys add {key} {comment}',
  remove: 'ssh-keys remove {key}',
}

/** `directory`: what files are relative to. */
export function resolveBuilder(name: string, raw: RawBuilder, directory: string): BuilderSpec {
  if (raw === 'local') return { kind: 'local', name }
  const { systems } = raw
  if (raw.ssh !== undefined) {
    const { ssh, sudo, nixbuildKeys, nixbuildToken, auth } = raw
    const own = { ssh, sudo, nixbuildKeys, nixbuildToken, auth }
    const host = resolveHost(name, { own, defaults: {}, builder: name, directory })
    const keyHost = hasLogins(host) ? host : undefined
    return { kind: 'ssh', name, systems, destination: ssh, keyHost }
  }
  const { store = '', evaluateOn = localBuilder, identityFile, hostKey } = raw
  const file = (path: string) => resolvePath(directory, path)
  return {
    kind: 'store',
    name,
    systems,
    destination: store.replace(/^ssh-ng:/, 'ssh:'),
    evaluateOn,
    buildHook: raw.buildHook ?? false,
    service: isNixbuild(store) ? 'nixbuild.net' : undefined,
    identityFile: identityFile === undefined ? undefined : file(identityFile),
    hostKey,
    token: resolveToken(raw.auth, raw.token, directory),
    keyCommands: {
      add: raw.keyCommands?.add ?? nixbuildKeyCommands.add,
      remove: raw.keyCommands?.remove ?? nixbuildKeyCommands.remove,
    },
    settings: words(raw.settings),
    tags: words(raw.tags),
  }
}

/** The entry of a builder; a name without one is `local`. */
export const builderSpec = (specs: ReadonlyMap<string, BuilderSpec>, name: string): BuilderSpec =>
  specs.get(name) ?? { kind: 'local', name }

/** Those of a host that build for its system, as far as the file says. */
export const buildersFor = (
  { builders, system }: Pick<Host, 'builders' | 'system'>,
  specs: ReadonlyMap<string, BuilderSpec>,
): string[] => builders.filter((name) => specs.get(name)?.systems?.includes(system) ?? true)

const isNixbuild = (store: string) => /^ssh-ng:\/\/(?:[^@/]*@)?eu\.nixbuild\.net(?::\d+)?\/?$/i.test(store)

const words = (fields: Readonly<Record<string, string | number | boolean>> = {}) =>
  new Map(Object.entries(fields).map(([name, value]) => [name, String(value)]))

/** Stores that evaluate nowhere, on something unknown, or on each other; fields in vain; a `local` that is something else. */
export function builderFindings(builders: Readonly<Record<string, RawBuilder>>, known: readonly string[]): Finding[] {
  return Object.entries(builders).flatMap(([name, raw]): Finding[] => {
    const path = ['builders', name]
    if (name === localBuilder && raw !== 'local') {
      return [{ path, message: "the name local is for the control machine's own Nix", at: 'key' }]
    }
    if (raw === 'local' || raw.store === undefined) return []
    return [
      ...evaluatorFindings(name, raw.evaluateOn ?? localBuilder, { builders, known }),
      ...serviceFindings(name, raw),
      ...hookFindings(name, raw),
    ]
  })
}

function evaluatorFindings(
  name: string,
  evaluator: string,
  { builders, known }: { builders: Readonly<Record<string, RawBuilder>>; known: readonly string[] },
): Finding[] {
  const path = ['builders', name, 'evaluateOn']
  if (evaluator === localBuilder) return []
  if (evaluator === name) return [{ path, message: 'a store cannot evaluate for itself: it has no shell' }]
  if (!known.includes(evaluator)) return [unknownBuilder(path, evaluator, known)]
  const spec = builders[evaluator]
  if (typeof spec !== 'object' || spec.store === undefined) return []
  return [{ path, message: `${evaluator} is a store without a shell: name a builder with ssh, or local` }]
}

/** What only nixbuild.net reads would be sent to somebody else in vain, and a token must not be. */
function serviceFindings(name: string, raw: RawBuilder & object): Finding[] {
  if (isNixbuild(raw.store ?? '')) return []
  return (['auth', 'token', 'keyCommands', 'settings', 'tags', 'buildHook'] as const)
    .filter((field) => raw[field] !== undefined)
    .map((field) => ({
      path: ['builders', name, field],
      message: 'is for nixbuild.net, and this store is elsewhere: only ssh-ng://eu.nixbuild.net reads it',
      at: 'key',
    }))
}

/** What this machine says when it connects, where it doesn't; and a port, which not every Nix takes for one. */
function hookFindings(name: string, raw: RawBuilder & object): Finding[] {
  if (!raw.buildHook) return []
  const path = (field: string) => ['builders', name, field]
  const inVain = (['settings', 'tags'] as const)
    .filter((field) => raw[field] !== undefined)
    .map(
      (field): Finding => ({
        path: path(field),
        message: 'is sent by this machine when it logs in, and with buildHook another one does',
        at: 'key',
      }),
    )
  if (!/:\d+\/?$/.test(raw.store ?? '')) return inVain
  const message =
    'has a port: with buildHook, the configuration of ssh of root there says it (Host eu.nixbuild.net, Port …)'
  return [...inVain, { path: path('store'), message }]
}

export function unknownBuilder(path: Finding['path'], name: string, known: readonly string[]): Finding {
  const candidates = [...new Set([...known, localBuilder])]
  const suggestion = closest(name, candidates)
  const list = suggestion === undefined ? `; the builders are ${candidates.join(', ')}` : ''
  return { path, message: `there is no builder ${name}${list}`, suggestion }
}
