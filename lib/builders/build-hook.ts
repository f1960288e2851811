/**
 * Another way to nixbuild.net: the build hook of a machine with Nix (nix.conf(5), `builders`). That machine fetches what its
 * substituters have, and only the rest is built there. Reached as a store, the service builds what substituters have.
 */
import type { StoreSpec } from '../inventory/inventory.ts'
import { nixbuildHostKey } from '../nix/nixbuild.ts'
import type { BuildHook } from './nix-machine.ts'
import { nixbuildWords } from './nixbuild.ts'

/** For as long as one is connected to that machine's daemon; from others than trusted users, it takes none of it. */
export function buildHookTo({ name, destination, systems, hostKey }: StoreSpec): BuildHook {
  // docs.nixbuild.net/getting-started, and the service's own action
  const builds = systems ?? ['x86_64-linux', 'aarch64-linux']
  const key = Buffer.from(hostKey ?? nixbuildHostKey.key).toString('base64')
  return {
    name,
    settings: [
      ['builders', `${destination} ${builds.join(',')} - 100 1 benchmark,big-parallel - ${key}`],
      ['builders-use-substitutes', 'true'],
      ['max-jobs', '0'],
    ],
    ownWords: nixbuildWords,
  }
}
