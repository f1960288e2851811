/** One host with the defaults of its inventory applied: scalars and lists are replaced, maps are merged one level deep. */
import { parseDuration } from './duration.ts'
import { resolveCheck } from './health-checks.ts'
import { resolveToken } from './token.ts'
import type { Host } from './inventory.ts'
import type { RawHost } from './schema.ts'

interface Fields {
  readonly own: RawHost
  readonly defaults: RawHost
  /** to use when neither the host nor the defaults name any */
  readonly builder: string
  /** what files are relative to */
  readonly directory: string
}

export function resolveHost(name: string, fields: Fields): Host {
  const { own, defaults, directory } = fields
  const raw: RawHost = { ...defaults, ...own }
  const copy = { ...defaults.copy, ...own.copy }
  const activation = { ...defaults.activation, ...own.activation }
  const destination = raw.ssh ?? ''
  const verifyAt = raw.verifyAt ?? destination
  // Holes in lists are entries that a mistake was found in.
  return {
    name,
    destination,
    verifyAt,
    configuration: raw.configuration ?? name,
    system: raw.system ?? '',
    tags: raw.tags ?? [],
    builders: [...new Set([raw.builder ?? fields.builder].flat().flatMap((one) => one ?? []))],
    elevation: raw.sudo ?? 'passwordless',
    specialisation: raw.specialisation ?? undefined,
    copy: {
      via: copy.via ?? 'relay',
      substitute: copy.substitute ?? true,
      compress: copy.compress ?? 'auto',
      delta: copy.delta ?? 'off',
    },
    activation: {
      timeoutMs: parseDuration(activation.timeout ?? '5m') ?? 0,
      confirmWithinMs: parseDuration(activation.confirmWithin ?? '60s') ?? 0,
      settleMs: parseDuration(activation.settle ?? '10s') ?? 0,
      rebootWithinMs: parseDuration(activation.rebootWithin ?? '5m') ?? 0,
    },
    reboot: raw.reboot ?? 'never',
    generations: raw.generations && {
      keep: raw.generations.keep ?? 1,
      olderThanMs: parseDuration(raw.generations.olderThan ?? '0s') ?? 0,
    },
    checks: (raw.checks ?? []).flatMap((check) => (check && resolveCheck(check)) ?? []),
    nixbuildKeys: raw.nixbuildKeys ?? [],
    nixbuildToken: resolveToken(raw.auth, raw.nixbuildToken, directory),
  }
}
