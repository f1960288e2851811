import type { Host } from '../../inventory/inventory.ts'
import { checkedToken, wordFor } from '../../keys/login.ts'
import { askHost, withToken } from '../../keys/program.ts'
import { commentFor } from '../../keys/state.ts'
import { keyWords } from '../../nix/nixbuild.ts'
import type { Seen } from '../status.ts'
import type { Tools } from '../tools.ts'
import { change, happenedIn } from './change.ts'
import { acceptances, keyOn } from './known-keys.ts'
import { loginsOf, type Patience, progress, visitAlone } from './place.ts'
import { type KeysReport, reportOn } from './report.ts'

/** Makes and mends keys and what ssh reads, then has the account know them. What is right already is left alone. */
export const installKeys = (host: Host, patience: Patience, tools: Tools): Promise<Seen<KeysReport>> =>
  visitAlone(host, tools, 'install', async (place) => {
    const { asking, service } = place
    progress(place, 'installing keys')
    const words = loginsOf(place).flatMap((login) => [
      wordFor(login),
      commentFor(host.name, login.account, tools.clock.now()),
    ])
    const { nixbuildToken } = host
    const token = nixbuildToken && checkedToken(await tools.keys.secret(nixbuildToken))
    const program = token === undefined ? asking.program : withToken(asking.program, token)
    const asked = { ...asking, program }
    const answer = await askHost(asked, 'install', String(service.port), ...keyWords(service.hostKey), ...words)
    const happened = happenedIn(
      answer,
      `\`deploy keys module ${host.name}\` prints what the configuration can say instead`,
    )
    const did = [...happened.did]
    const couldNot = [...happened.couldNot]
    const accepted = await acceptances(place, loginsOf(place))
    for (const account of host.nixbuildKeys) {
      if (accepted.get(account)?.acceptance !== 'refused') continue
      const key = await keyOn(place, account, '')
      if (key === undefined) continue
      const end = await change(place, 'add', key, patience)
      did.push(...end.did)
      couldNot.push(...end.couldNot)
      if (end.couldNot.length === 0) accepted.set(account, { acceptance: 'yes', said: '' })
    }
    return reportOn(place, { did, couldNot }, accepted)
  })
