import fc from 'fast-check'
import t from 'tap'
import { NarScanner, NotANar } from '../../lib/nix/nar.ts'
import { string } from '../../lib/nix/protocol/wire.ts'
import { file, inPieces, narOf, pieceSizes, trees } from './make-nar.ts'

t.test('the end of a NAR is found to the byte, whatever is in it and however it is cut', async (t) => {
  const rest = Buffer.from('what comes after it')
  fc.assert(
    fc.property(trees, pieceSizes, (tree, sizes) => {
      const nar = narOf(tree)
      const scanner = new NarScanner()
      let size = 0
      for (const piece of inPieces(Buffer.concat([nar, rest]), sizes)) size += scanner.push(piece)
      return scanner.done && size === nar.length
    }),
  )
  t.pass()
})

t.test('a NAR that was cut short is never taken for a whole one', async (t) => {
  fc.assert(
    fc.property(trees, fc.nat(), (tree, cut) => {
      const nar = narOf(tree)
      const scanner = new NarScanner()
      const length = cut % nar.length
      return scanner.push(nar.subarray(0, length)) === length && !scanner.done
    }),
  )
  t.pass()
})

t.test('directories may be as deep as they like', async (t) => {
  let tree = file('at the bottom')
  for (let depth = 0; depth < 1000; depth++) tree = { type: 'directory', entries: { down: tree } }
  const nar = narOf(tree)
  const scanner = new NarScanner()
  t.equal(scanner.push(nar), nar.length)
  t.ok(scanner.done)
})

t.test('what is no NAR is refused', async (t) => {
  const words = (...items: string[]) => Buffer.concat(items.map(string))
  const wrong = {
    'another format': words('nix-archive-2'),
    'a device': words('nix-archive-1', '(', 'type', 'device'),
    'an entry without a name': words('nix-archive-1', '(', 'type', 'directory', 'entry', '(', 'node'),
    'a file with two contents': words('nix-archive-1', '(', 'type', 'regular', 'contents', 'a', 'contents'),
    'a directory that says something else': words('nix-archive-1', '(', 'type', 'directory', 'target'),
    'text of a shell': Buffer.from('Welcome to forge! Last login: yesterday'),
  }
  for (const [what, bytes] of Object.entries(wrong)) t.throws(() => new NarScanner().push(bytes), NotANar, what)
})
