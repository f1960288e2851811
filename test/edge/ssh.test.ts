import { test } from 'tap'
import { sshNetwork } from '../../lib/edge/ssh.ts'
import { Bench, me, withSshd } from './sshd.ts'

test('smoke', withSshd, async (t) => {
  const bench = new Bench(t)
  bench.key('id')
  const sshd = await bench.sshd()
  bench.know('known', `[127.0.0.1]:${sshd.port}`, sshd.hostKey('ed25519'))
  const configFile = bench.config(
    `Host dave\n HostName 127.0.0.1\n Port ${sshd.port}\n IdentityFile @id\n IdentitiesOnly yes\n IdentityAgent none\n UserKnownHostsFile @known\n GlobalKnownHostsFile none\n`,
  )
  const network = sshNetwork({ configFile })
  const dave = await network.connect({ name: 'dave', destination: 'dave', elevation: 'none' })
  t.equal(dave.user, me)
  const done = await dave.run({ argv: ['sh', '-c', 'echo hi; echo oops >&2; exit 3'] })
  t.same(done, { code: 3, signal: null, lost: false, stdout: 'hi\n', stderr: 'oops\n' })
  await dave.close()
  await dave.closed
})
