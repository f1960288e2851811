/** A store that builds and has no shell, reached over SSH (`ssh-ng://`): only its Nix daemon can be spoken to. */
import type { StoreSpec, TokenSource } from '../inventory/inventory.ts'
import { type Login, type Machine, NotLetIn } from '../machine/machine.ts'
import type { Store } from '../nix/store.ts'
import { Problem } from '../problem.ts'
import type { BuildStore } from './builder.ts'
import { connectionBy, openDaemon } from './connection.ts'
import { nixbuildLog, nixbuildLogin, nixbuildWords, whatNixbuildWants, withTokenHints } from './nixbuild.ts'
import type { BuilderSurroundings } from './surroundings.ts'

/** Exactly the words that Nix itself sends, since a service may know no others. */
const daemon = ['nix-daemon', '--stdio']

export function remoteStore(
  spec: StoreSpec,
  { network, secrets }: Pick<BuilderSurroundings, 'network' | 'secrets'>,
): BuildStore {
  const { name } = spec
  const isNixbuild = spec.service === 'nixbuild.net'

  async function connect(signal: AbortSignal): Promise<Machine> {
    const token = spec.token && (await secret(spec.token))
    const own: Login = {
      name,
      destination: spec.destination,
      elevation: 'none',
      ...(spec.hostKey && pinned(spec.hostKey)),
    }
    const login = { ...own, ...(spec.identityFile !== undefined && withKey(spec.identityFile)) }
    return await network.connect(isNixbuild ? nixbuildLogin(login, spec, token) : login, signal)
  }

  const secret = (source: TokenSource) => ('file' in source ? secrets.file(source.file) : secrets.variable(source.env))

  const { machine, close } = connectionBy((signal) =>
    connect(signal).catch((error: unknown) => {
      throw isNixbuild && error instanceof NotLetIn ? whatNixbuildWants(error, spec) : error
    }),
  )

  async function openStore(signal: AbortSignal): Promise<Store> {
    const there = await machine(signal)
    try {
      return await openDaemon(there, daemon, signal)
    } catch (error) {
      throw spec.token && error instanceof Problem ? withTokenHints(error) : error
    }
  }

  return {
    name,
    openStore,
    // Nobody there can be asked.
    bootFiles: async () => undefined,
    whereLogIs: (derivation) =>
      isNixbuild ? nixbuildLog(derivation) : `see the whole log on the machine of ${name}: nix log ${derivation}`,
    ...(isNixbuild && { ownWords: nixbuildWords }),
    close,
  }
}

const pinned = (hostKey: string) => ({ hostKey: { key: hostKey, from: 'hosts.yaml' } })

const withKey = (file: string) => ({ options: { IdentityFile: file, IdentitiesOnly: 'yes' } })
