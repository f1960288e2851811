/**
 * The Nix worker protocol: what `ssh-ng://` speaks to `nix-daemon --stdio`, over any pair of streams. Servers from
 * Nix 2.5 (protocol 1.32) on. The pieces are in protocol/, by theme.
 */
import { closureOf } from './closure.ts'
import { addMultiple } from './protocol/adding.ts'
import { build } from './protocol/building.ts'
import { Connection, type DaemonStreams } from './protocol/connection.ts'
import { greet } from './protocol/greeting.ts'
import { narsFrom } from './protocol/nars.ts'
import { addTempRoots, queryMissing, queryPathInfos, queryValidPaths } from './protocol/queries.ts'
import type { Store } from './store.ts'

export { DaemonLost, type DaemonStreams } from './protocol/connection.ts'

/**
 * Greets the daemon, in two turns. Rejects with a Problem when there is none, with what came instead, or when it is
 * too old. Callers of the same store wait for each other; inside `narsFrom` nothing else can be asked of that store.
 */
export async function openStore(streams: DaemonStreams): Promise<Store> {
  const connection = new Connection(streams)
  const { version, trusted } = await connection
    .exclusively(() => greet(connection))
    .catch((error: unknown) => {
      connection.close()
      throw error
    })
  return {
    version,
    trusted,
    queryValidPaths: (paths, options) => queryValidPaths(connection, paths, options),
    queryPathInfos: (paths) => queryPathInfos(connection, paths),
    queryClosure: (paths) => closureOf(paths, (level) => queryPathInfos(connection, level)),
    queryMissing: (derivations) => queryMissing(connection, derivations),
    addTempRoots: (paths) => addTempRoots(connection, paths),
    build: (derivations, onEvent) => build(connection, derivations, onEvent),
    narsFrom: (infos) => narsFrom(connection, infos),
    addMultiple: (nars, options) => addMultiple(connection, nars, options),
    close: () => connection.close(),
  }
}
