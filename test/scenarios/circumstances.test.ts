/** Ordinary hosts in less ordinary circumstances: what ran before is what the host goes back to, whatever that was. */
import { before, type Test, test } from 'tap'
import * as lab from '../lab/lab.mjs'
import { eventually } from './eventually.ts'
import { gate } from './gate.ts'
import { type Facts, type Stage, sameAsBefore, setStage } from './stage.ts'

const activation = { timeout: '60s', confirmWithin: '60s', settle: '1s' }

let stage: Stage

before(async () => {
  stage = await setStage({ hosts: ['dave', 'frank', 'grace'], defaults: { activation } })
})

const healthy = (motd: string, more: Record<string, unknown> = {}) => ({ motd, ...more })
const sick = (motd: string, more: Record<string, unknown> = {}) =>
  healthy(motd, { services: { broken: { type: 'oneshot', script: 'exit 1' } }, ...more })

/** A configuration that isn't healthy, and a host that is as before once that was found out. */
async function goesBack(t: Test, host: string, knobs: Record<string, unknown>, reason = /^broken\.service failed/) {
  await stage.configure(host, knobs)
  const was = await stage.facts(host)
  const { outcome, code } = await stage.deployHost(host)
  t.match(outcome, { kind: 'rolled back', reason, running: was.running })
  t.equal(code, 1)
  sameAsBefore(t, was, await stage.facts(host))
  return outcome
}

/** A configuration that the host ends on, entirely. */
async function goesThrough(t: Test, host: string, knobs: Record<string, unknown>): Promise<Facts> {
  await stage.configure(host, knobs)
  const { outcome, code } = await stage.deployHost(host)
  const is = await stage.facts(host)
  const top = outcome.toplevel
  t.match(outcome, { kind: 'deployed', reason: '' })
  t.equal(code, 0)
  t.match(is, { profile: top, boot: top, leftBehind: { length: 0 } })
  t.equal(is.generations[String(outcome.generation)], top)
  return is
}

for (const [host, versions] of Object.entries({
  frank: 'Nix 2.34 and systemd 262',
  grace: 'Nix 2.8 and systemd 252',
})) {
  test(`a deployment and a rollback on a host with ${versions}`, async (t) => {
    const told = await stage.inside(host, 'nix-store --version; systemctl --version | head -n 1')
    t.match(
      told.replaceAll(/[()]/g, ''),
      new RegExp(versions.replace('Nix ', '^nix-store Nix ').replace(' and ', '[^]*\\n')),
    )
    const is = await goesThrough(t, host, healthy('good', { kernel: { version: '7.1.0', size: 1_000_000 } }))
    t.equal(is.running, is.profile)
    await goesBack(t, host, sick('bad', { kernel: { version: '7.1.1', size: 1_000_000 } }))
    await goesBack(t, host, healthy('fails', { activationScripts: { lab: 'false' } }), /^the activation script failed$/)
    await goesThrough(t, host, healthy('good again'))
    t.equal((await stage.deployHost(host)).outcome.kind, 'unchanged')
    await lab.powerCut(host)
    await lab.powerOn(host)
    t.match(await stage.facts(host), { running: /nixos-system/, booted: (await stage.facts(host)).profile })
  })
}

test('the first deployment ever, of a host that no profile knows', async (t) => {
  await stage.inside(
    'dave',
    'rm -rf /var/lib/deploy /nix/var/nix/profiles/system* && /run/current-system/bin/switch-to-configuration boot',
  )
  const was = await stage.facts('dave')
  t.same([was.profile, was.generations, was.history], ['/nix/var/nix/profiles/system', {}, []])
  await goesBack(t, 'dave', sick('first, and unhealthy'))
  const noBootLoader = { switch: { noBootLoader: 'no room in /boot' } }
  await goesBack(
    t,
    'dave',
    healthy('first', noBootLoader),
    /^the boot loader could not be set \(exit code 1\): no room in \/boot; Failed to install bootloader/,
  )
  const is = await goesThrough(t, 'dave', healthy('first'))
  t.same(is.generations, { 1: is.running })
  t.same(
    is.history.map(({ outcome }) => outcome),
    ['rolled back', 'rolled back', 'deployed'],
  )
})

test('a host that runs another system than its profile holds goes back to what ran', async (t) => {
  const { profile, generations, boot } = await stage.facts('dave')
  await stage.configure('dave', healthy('only tested'))
  const { outcome } = await stage.deployHost('dave', '--mode', 'test')
  t.equal(outcome.kind, 'tested')
  const tested = await stage.facts('dave')
  t.match(tested, { running: outcome.toplevel, profile, generations, boot, leftBehind: { length: 0 } })
  await goesBack(t, 'dave', sick('and then something unhealthy'))
})

test('a specialisation that was activated by hand is what the host goes back to', async (t) => {
  const night = { specialisation: { night: { services: { lamp: { script: 'sleep 9999' } } } } }
  const { running: day } = await goesThrough(t, 'dave', healthy('day', night))
  await stage.inside('dave', `${day}/specialisation/night/bin/switch-to-configuration test`)
  const was = await stage.facts('dave')
  t.not(was.running, day)
  t.ok(was.activeUnits.includes('lamp.service'))
  await goesBack(t, 'dave', sick('another day', night))
})

test('`specialisation:` in hosts.yaml activates it, and the profile gets the system it belongs to', async (t) => {
  const night = { specialisation: { night: { services: { lamp: { script: 'sleep 9999' } } } } }
  await stage.describeHost('dave', { specialisation: 'night' })
  const is = await goesThrough(t, 'dave', healthy('another night', night))
  t.equal(is.running, (await stage.inside('dave', `readlink -f ${is.profile}/specialisation/night`)).trim())
  t.not(is.running, is.profile)
  t.ok(is.activeUnits.includes('lamp.service'))
  t.equal((await stage.deployHost('dave')).outcome.kind, 'unchanged')
  await goesBack(t, 'dave', healthy('a bad night', { specialisation: { night: sick('dark') } }))

  await stage.describeHost('dave', { specialisation: 'nihgt' })
  const missing = await stage.deployHost('dave')
  t.match(missing.outcome, {
    kind: 'untouched',
    reason: 'the configuration has no specialisation nihgt',
    hints: ['it has: night'],
  })
  sameAsBefore(t, is, await stage.facts('dave'))
  await stage.describeHost('dave', { specialisation: null })
})

/** As sops-nix and agenix do it: a new directory each time, a link to the newest, and a restart when the text changed. */
const withSecret = (token: string) => ({
  activationScripts: {
    secrets: `
      before=$(readlink /run/secrets || true)
      now=/run/secrets.d/$((\${before##*/} + 1))
      mkdir -p -m 0751 /run/secrets.d $now
      (umask 0377; echo ${token} > $now/token)
      if [ -n "$before" ] && ! cmp -s $before/token $now/token; then
        echo reader.service >> /run/nixos/activation-restart-list
      fi
      ln -sfn $now /run/secrets
      [ -z "$before" ] || rm -r $before
    `,
  },
  services: { reader: { preStart: 'cat /run/secrets/token > /run/reader', script: 'sleep 9999' } },
})

test('secrets made by the activation script are there after a deployment, a rollback and a power cut', async (t) => {
  /** Whose turn it is, and that nothing else than the newest secret is there. */
  const holds = async (turn: number, token: string) => {
    const found = await stage.inside(
      'dave',
      'readlink /run/secrets; stat -c "%a %n" /run/secrets.d/*/*; cat /run/secrets/*',
    )
    t.equal(found, `/run/secrets.d/${turn}\n400 /run/secrets.d/${turn}/token\n${token}\n`)
    await eventually('dave', `[ "$(cat /run/reader)" = ${token} ] && systemctl -q is-active reader`)
  }
  await goesThrough(t, 'dave', healthy('secret', withSecret('first')))
  await holds(1, 'first')
  const { running } = await goesThrough(t, 'dave', healthy('more secret', withSecret('second')))
  await holds(2, 'second')
  const { services, ...third } = withSecret('third')
  await goesBack(t, 'dave', { ...third, services: { ...services, broken: { type: 'oneshot', script: 'exit 1' } } })
  await holds(4, 'second')

  const { check } = gate()
  await stage.describeHost('dave', { checks: [check] })
  await stage.configure('dave', healthy('most secret', withSecret('fourth')))
  const deploying = stage.start('dave')
  await deploying.until(/^dave: verify$/m)
  await holds(5, 'fourth')
  await lab.powerCut('dave')
  await lab.powerOn('dave')
  await deploying.finished
  t.equal((await stage.facts('dave')).running, running)
  await holds(1, 'second')
  await stage.describeHost('dave', { checks: [] })
})

test("somebody else's switch during the confirmation window is left alone and reported", async (t) => {
  const theirs = (await goesThrough(t, 'dave', healthy('theirs'))).running
  const was = await goesThrough(t, 'dave', healthy('ours'))
  await stage.configure('dave', healthy('ours, newer'))

  for (const how of ['test', 'switch'] as const) {
    await t.test(how, async (t) => {
      const { check, open } = gate()
      await stage.describeHost('dave', { checks: [check] })
      const deploying = stage.start('dave')
      await deploying.until(/^dave: verify$/m)
      if (how === 'switch') await stage.inside('dave', `nix-env -p /nix/var/nix/profiles/system --set ${theirs}`)
      await stage.inside('dave', `${theirs}/bin/switch-to-configuration ${how}`)
      await open()
      const { outcomes, code } = await deploying.finished
      t.match(outcomes['dave'], { kind: 'needs hands', running: theirs, reason: /^somebody else switched to / })
      t.equal(code, 3)
      const is = await stage.facts('dave')
      const permanent = how === 'switch' ? theirs : was.running
      t.match(is, { running: theirs, profile: permanent, boot: permanent, leftBehind: { length: 0 } })
      t.match(is.history.at(-1), { outcome: 'left alone' })
    })
  }
  await stage.describeHost('dave', { checks: [] })
  await goesThrough(t, 'dave', healthy('ours at last'))
})
