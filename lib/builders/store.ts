/** A store that builds and has no shell, reached over SSH (`ssh-ng://`): only its Nix daemon can be spoken to. */
import type { StoreSpec, TokenSource } from '../inventory/inventory.ts'
import { type Login, type Machine, NotLetIn } from '../machine/machine.ts'
import { Problem } from '../problem.ts'
import type { BuildStore, OpenStore } from './builder.ts'
import { openDaemon } from './connection.ts'
import { nixbuildLog, nixbuildLogin, nixbuildWords, whatNixbuildWants, withTokenHints } from './nixbuild.ts'
import type { BuilderSurroundings, Secrets } from './surroundings.ts'

/** Exactly the words that Nix itself sends, since a service may know no others. */
const daemon = ['nix-daemon', '--stdio']

export function remoteStore(
  spec: StoreSpec,
  { network, secrets }: Pick<BuilderSurroundings, 'network' | 'secrets'>,
): BuildStore {
  const { name } = spec
  const isNixbuild = spec.service === 'nixbuild.net'

  /** Those that are open. */
  const machines = new Set<Machine>()

  async function connect(signal: AbortSignal): Promise<Machine> {
    const machine = await connectToStore(spec, { network, secrets }, signal)
    machines.add(machine)
    void machine.closed.then(() => machines.delete(machine))
    return machine
  }

  /** A login for each, as Nix does it: a service need not know of several commands over one. */
  async function openStore(signal: AbortSignal): Promise<OpenStore> {
    const machine = await connect(signal)
    try {
      return await openDaemon(machine, daemon, signal, { after: () => void machine.close() })
    } catch (error) {
      void machine.close()
      throw spec.token && error instanceof Problem && error.kind === 'failed' ? withTokenHints(error) : error
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
    async close() {
      await Promise.all([...machines].map((machine) => machine.close()))
    },
  }
}

/** One login, with the key or the token that hosts.yaml names. Rejects with a Problem. The caller closes it. */
export async function connectToStore(
  spec: StoreSpec,
  { network, secrets }: Pick<BuilderSurroundings, 'network' | 'secrets'>,
  signal: AbortSignal,
): Promise<Machine> {
  const isNixbuild = spec.service === 'nixbuild.net'
  const token = spec.token && (await secret(spec.token, secrets).catch((error) => wantsToken(error, isNixbuild)))
  const login = loginOf(spec)
  try {
    return await network.connect(isNixbuild ? nixbuildLogin(login, spec, token) : login, signal)
  } catch (error) {
    throw isNixbuild && error instanceof NotLetIn ? whatNixbuildWants(error, spec) : error
  }
}

const wantsToken = (error: unknown, isNixbuild: boolean): never => {
  throw isNixbuild && error instanceof Problem ? withTokenHints(error) : error
}

/** What it names. Rejects with a Problem. */
export const secret = (source: TokenSource, secrets: Secrets) =>
  'file' in source ? secrets.file(source.file) : secrets.variable(source.env)

const loginOf = ({ name, destination, hostKey, identityFile }: StoreSpec): Login => ({
  name,
  destination,
  elevation: 'none',
  ...(hostKey !== undefined && { hostKey: { key: hostKey, from: 'hosts.yaml' } }),
  // A percent sign would begin one of ssh's own tokens.
  ...(identityFile !== undefined && {
    options: { IdentityFile: identityFile.replaceAll('%', '%%'), IdentitiesOnly: 'yes' },
  }),
})
