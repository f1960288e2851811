import type { Host } from '../../inventory/inventory.ts'
import { wordFor } from '../../keys/login.ts'
import { askHost } from '../../keys/program.ts'
import { keyOwner, readKeys } from '../../keys/state.ts'
import { nixbuildHost } from '../../nix/nixbuild.ts'
import type { Seen } from '../status.ts'
import type { Tools } from '../tools.ts'
import { ensure, happenedIn } from './change.ts'
import { keysOn } from './known-keys.ts'
import { loginsOf, type Patience, visitAlone } from './place.ts'
import { type KeysReport, reportOn, type Undone } from './report.ts'

/** The account forgets the keys, which is shown by their being refused; then they are deleted on the host. */
export const revokeKeys = (host: Host, patience: Patience, tools: Tools): Promise<Seen<KeysReport>> =>
  visitAlone(host, tools, 'revoke', async (place) => {
    const did: string[] = []
    const couldNot: Undone[] = []
    const state = await readKeys(place.asking, { logins: loginsOf(place), hostKey: place.service.hostKey })
    for (const login of state.accounts) {
      const { account, kind, file, form, link } = login
      if (form === 'no-account') {
        couldNot.push({
          text: `${account}: there is no such account on the host: should it have had a key, nixbuild.net still knows it`,
          mend: `ssh ${nixbuildHost} shell: the comment of its key begins with ${keyOwner(host.name, account)}; then leave ${account} out of nixbuildKeys in hosts.yaml`,
        })
        continue
      }
      if (link !== undefined) {
        couldNot.push({
          text: `${account}: ${file} is a link to ${link}, and the key stays in the account`,
          mend: 'take it away where it comes from; then remove the key in the shell of the service',
        })
        continue
      }
      let isForgotten = true
      for (const key of kind === 'token' ? [] : await keysOn(place, account)) {
        const end = await ensure(place, 'remove', key, patience)
        did.push(...end.did)
        couldNot.push(...end.couldNot)
        isForgotten &&= end.couldNot.length === 0
      }
      if (!isForgotten) continue
      const gone = happenedIn(await askHost(place.asking, 'forget', wordFor(login)), `deploy keys revoke ${host.name}`)
      did.push(...gone.did)
      if (kind === 'token' && gone.did.length > 0) did.push(tokenLivesOn)
      couldNot.push(...gone.couldNot)
    }
    const { machine } = await reportOn(place, {})
    return { keys: [], machine, did, couldNot, verified: [] }
  })

/** It may be another host's as well, and the service keeps no list of them. */
const tokenLivesOn = `root: the token itself is valid until its time is over, or until it is revoked: ssh ${nixbuildHost} shell, then: tokens revoke`
