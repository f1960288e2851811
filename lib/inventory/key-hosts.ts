import type { Inventory } from './inventory.ts'

/** What `deploy keys` may name: the hosts, and builders whose accounts have logins at nixbuild.net. */
export const keyHosts = ({ hosts, builders }: Inventory): Inventory['hosts'] =>
  new Map([
    ...hosts,
    ...[...builders.values()].flatMap((spec) =>
      spec.kind === 'ssh' && spec.keyHost ? [[spec.name, spec.keyHost] as const] : [],
    ),
  ])
