/**
 * A change of a key that is cut off at each of its steps: there is a key that works all the time, and the same command
 * goes on. The tools that mark a step are wrapped (test/faults/hold.ts); the service is the stand-in.
 */
import { before, type Test, test } from 'tap'
import { arm, held, hold, type Point, release } from '../faults/hold.ts'
import * as lab from '../lab/lab.mjs'
import { type Running, type Stage, setStage } from './stage.ts'

let stage: Stage
const account = '/var/lib/nixbuild-stand-in'
const key = '/root/.ssh/nixbuild'
const at = (name: string): Point => ({ machine: 'dave', name: `keys-${name}` })

const lastWord = 'for last; do :; done'
const wrappers = {
  sync: `${lastWord}
case $last in ${key}.next.new) hold keys-making ;; ${key}) hold keys-no-public-half ;; esac
exec /usr/bin/sync "$@"`,
  mv: `${lastWord}
case $* in "-f ${key}.back ${key}") hold keys-both ;; esac
/usr/bin/mv "$@" || exit
case $* in
  "-f ${key}.next.new ${key}.next") hold keys-made ;;
  "-f ${key}.next ${key}") hold keys-swapped ;;
  "-f ${key}.back ${key}") hold keys-back ;;
esac`,
  ln: `${lastWord}
case $last in ${key}.old) hold keys-registered ;; esac
/usr/bin/ln "$@" || exit
case $last in ${key}.old) hold keys-two-names ;; esac`,
  rm: `${lastWord}
case $last in ${key}.old) hold keys-removed ;; esac
exec /usr/bin/rm "$@"`,
}

/** In their order. */
const forth = ['making', 'made', 'registered', 'two-names', 'no-public-half', 'swapped', 'removed'] as const

before(async () => {
  stage = await setStage({ others: ['standin'] })
  const hostKey = lab.publicKey(lab.hostKey('standin')).split(' ').slice(0, 2).join(' ')
  stage.inventory.builders['nixbuild'] = { store: 'ssh-ng://eu.nixbuild.net', evaluateOn: 'forge', hostKey }
  await stage.describeHost('dave', { nixbuildKeys: ['root'] })
  await stage.configure('dave', { programs: { hold, ...wrappers } })
  await stage.deployHost('dave')
  await keys('install')
  await stage.inside('dave', 'sync')
})

async function keys(...words: readonly string[]) {
  const { code, stdout } = await stage.deploy('keys', ...words, 'dave')
  const answer = JSON.parse(stdout)
  return { code, ...(answer.hosts?.[0] ?? answer) } as {
    code: number
    did: readonly string[]
    couldNot: readonly { text: string }[]
    verified: readonly { works: boolean }[]
    keys: readonly { findings: readonly { code: string }[] }[]
    error?: { text?: string }
  }
}

const bodyOf = async (file = key) => (await stage.inside('dave', `ssh-keygen -y -P '' -f ${file}`)).split(' ')[1] ?? ''
const registered = async () => {
  const lines = (await stage.inside('standin', `cat ${account}/ssh-keys`)).split('\n')
  return lines.filter((line) => line.includes('dave:root')).map((line) => line.split(' ')[1])
}

/** As the daemon's hook does; 255 is what `ssh` ends with when it is not let in. */
async function works(t: Test, when: string) {
  const { code, stderr } = await lab.inside(
    'dave',
    'ssh -o BatchMode=yes eu.nixbuild.net nix-daemon --stdio < /dev/null',
  )
  t.ok(code !== 255, `there is a key that works: ${when}`, { stderr })
}

/** Changing the key is begun, held at the point, and then that happens to it. */
async function interruptedAt(t: Test, points: readonly string[], interrupt: (run: Running) => Promise<unknown>) {
  for (const point of points) {
    await arm(at(point))
    const run = stage.start('keys', 'rotate', 'dave')
    const early = run.finished.then(({ stdout }) =>
      Promise.reject(new Error(`never came to ${point}: ${stdout.replaceAll(/\s+/g, ' ')}`)),
    )
    await Promise.race([held(at(point)), early])
    early.catch(() => {})
    await works(t, `held at ${point}`)
    await interrupt(run)
    await release(at(point))
    await run.finished
    await works(t, `interrupted at ${point}`)
  }
}

async function isChanged(t: Test, old: string) {
  const now = await bodyOf()
  t.not(now, old, 'the key is another one')
  t.same(await registered(), [now], 'the account has it, and the old one no more')
  t.equal(await stage.inside('dave', 'ls /root/.ssh | grep ^nixbuild'), 'nixbuild\nnixbuild.pub\n')
  t.match(await stage.inside('dave', `cat ${key}.pub`), now, 'with its own public half')
}

/** All of what `deploy` runs there, and `deploy`. */
const killed = async (run: Running) => {
  await run.signal('KILL')
  await stage.inside(
    'dave',
    `for pid in $(pgrep -f 'hol[d] keys-'); do /usr/bin/ps -o sid= -p $pid; done | sort -u | xargs -n 1 pkill -KILL -s`,
  )
}
/** Nor does anybody wait for it. */
const cut = async (run: Running) => {
  await lab.powerCut('dave')
  await run.signal('KILL')
  await lab.powerOn('dave')
}

const interruptions = {
  'killed at each step, on both machines, the change goes on': killed,
  'after a power cut of the host at each step, the change goes on': cut,
}
for (const [title, interrupt] of Object.entries(interruptions)) {
  test(title, async (t) => {
    const old = await bodyOf()
    await interruptedAt(t, forth, interrupt)
    const end = await keys('rotate')
    t.match(end, { code: 0, couldNot: { length: 0 }, verified: [{ works: true }] }, JSON.stringify(end))
    await isChanged(t, old)
  })
}

test('the power is cut while a new key that is of no use is replaced by the old one', async (t) => {
  const old = await bodyOf()
  // The daemon's own line pins another host key: no new key can be shown to work.
  const line = 'ssh://eu.nixbuild.net x86_64-linux - 1 1 - -'
  await stage.inside('dave', `echo "${line} $(base64 -w0 /etc/ssh/ssh_host_ed25519_key.pub)" > /etc/nix/machines; sync`)
  await interruptedAt(t, ['both', 'back'], cut)
  const end = await keys('rotate')
  t.match(end, { code: 1, verified: [{ works: false }] })
  t.match(end.couldNot[0]?.text, 'the old one is in its place again')
  t.equal(await bodyOf(), old)
  t.match(await stage.inside('dave', `cat ${key}.pub`), old, 'with its own public half')

  await stage.inside('dave', 'rm /etc/nix/machines')
  t.match(await keys('rotate'), { code: 0, couldNot: { length: 0 } }, 'then it goes on')
  await isChanged(t, old)
})

test('who comes while somebody else changes keys is told so, and changes nothing', async (t) => {
  const old = await bodyOf()
  await arm(at('made'))
  const first = stage.start('keys', 'rotate', 'dave')
  await held(at('made'))
  const second = await stage.deploy('keys', 'rotate', 'dave', '--plain')
  t.not(second.code, 0)
  t.match(second.stdout + second.stderr, /its keys are being changed by \S+/)
  t.match(await keys(), { keys: [{ acceptance: 'yes', findings: [{ code: 'rotating' }] }] }, 'looking is not changing')
  await release(at('made'))
  t.equal((await first.finished).code, 0)
  await isChanged(t, old)

  // Whoever is gone holds nothing.
  await arm(at('made'))
  const third = stage.start('keys', 'rotate', 'dave')
  await held(at('made'))
  await killed(third)
  await release(at('made'))
  t.match(await keys('rotate'), { code: 0, couldNot: { length: 0 } })
})
