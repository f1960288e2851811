import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { hexadecimal, openServe, queryClosure } from '../../lib/nix/serve-protocol.ts'
import { parseStorePath, type StorePath } from '../../lib/nix/store-path.ts'
import type { DaemonStreams } from '../../lib/nix/worker-protocol.ts'

const skip = spawnSync('nix-store', ['--version']).status === 0 ? false : 'nix-store is not installed'

/** A store of its own in a directory, and `nix-store` on it. */
function storeIn(directory: string) {
  mkdirSync(directory, { recursive: true })
  const options = ['--store', directory, '--option', 'build-users-group', '', '--option', 'substituters', '']
  const run = (...words: string[]) =>
    execFileSync('nix-store', [...words, ...options], { stdio: 'pipe' })
      .toString()
      .trim()
  const serve = (...words: string[]): DaemonStreams => {
    const child = spawn('nix-store', ['--serve', ...words, ...options], { stdio: 'pipe' })
    let errors = ''
    child.stderr.on('data', (text: Buffer) => {
      errors += text
    })
    return {
      input: child.stdin,
      output: child.stdout,
      errorOutput: () => errors,
      closed: new Promise((resolve) => child.on('close', resolve)),
      close: () => void child.kill(),
    }
  }
  return { run, serve }
}

t.test('a closure is asked for and copied from one real store to another', { skip }, async (t) => {
  const place = t.testdir({})
  const [from, to] = [storeIn(join(place, 'from')), storeIn(join(place, 'to'))]
  const file = join(place, 'file')
  const add = (text: string): StorePath => {
    writeFileSync(file, text)
    return parseStorePath(from.run('--add', file))
  }
  const paths = ['one', 'two'.repeat(100_000), ''].map(add)
  const infos = await queryClosure(from.serve(), paths)
  t.same(infos.map(({ path }) => path).sort(), [...paths].sort())
  for (const { path, narHash, narSize } of infos) {
    t.equal(hexadecimal(from.run('--query', '--hash', path)), narHash)
    t.equal(from.run('--query', '--size', path), String(narSize))
  }

  const [source, sink] = [openServe(from.serve()), openServe(to.serve('--write'))]
  const added: string[] = []
  let sent = 0
  await sink.addMultiple(source.narsFrom(infos), {
    count: infos.length,
    checkSignatures: false,
    onSent: (bytes) => {
      sent += bytes
    },
    onAdded: ({ path }) => void added.push(path),
  })
  t.same(
    added,
    infos.map(({ path }) => path),
  )
  t.equal(
    sent,
    infos.reduce((sum, { narSize }) => sum + narSize, 0),
  )
  t.equal(to.run('--verify-path', ...paths), '')
})

t.test('what the store refuses is told with its reason, and what is missing ends the question', { skip }, async (t) => {
  const place = t.testdir({ file: 'contents' })
  const [from, to] = [storeIn(join(place, 'from')), storeIn(join(place, 'to'))]
  const path = parseStorePath(from.run('--add', join(place, 'file')))
  const infos = await queryClosure(from.serve(), [path])
  const wrong = infos.map((info) => ({ ...info, narHash: '0'.repeat(64) }))
  const sink = openServe(to.serve('--write'))
  await t.rejects(sink.addMultiple(openServe(from.serve()).narsFrom(wrong), { count: 1, checkSignatures: false }), {
    message: /^\/nix\/store\/.*-file was refused: hash mismatch/,
  })
  const nothing = parseStorePath(`/nix/store/${'0'.repeat(32)}-nothing`)
  await t.rejects(queryClosure(from.serve(), [nothing]), { message: 'the connection to the Nix daemon was lost' })
})

t.test("hashes in Nix's base 32 are those of base 16", async (t) => {
  // of the empty file, as `nix-hash --to-base32` and sha256sum have it
  t.equal(
    hexadecimal('sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73'),
    'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  )
  t.throws(() => hexadecimal('sha256:e3b0'), { message: /as a hash$/ })
})
