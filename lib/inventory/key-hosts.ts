/** Who has logins of its own at nixbuild.net. */
import type { Host, Inventory } from './inventory.ts'

/** Whether there are keys or a token to be looked after. */
export const hasLogins = ({ nixbuildKeys, nixbuildToken }: Pick<Host, 'nixbuildKeys' | 'nixbuildToken'>): boolean =>
  nixbuildKeys.length > 0 || nixbuildToken !== undefined

/** What `deploy keys` may name: the hosts, and builders whose accounts have logins at nixbuild.net. */
export const keyHosts = ({ hosts, builders }: Inventory): Inventory['hosts'] =>
  new Map([
    ...hosts,
    ...[...builders.values()].flatMap((spec) =>
      spec.kind === 'ssh' && spec.keyHost ? [[spec.name, spec.keyHost] as const] : [],
    ),
  ])
