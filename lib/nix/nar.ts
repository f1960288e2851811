/**
 * Where a NAR ends. It carries no length, so it is followed just far enough to tell: names, targets and contents are
 * skipped, never kept (Nix manual, "Nix Archive format").
 */
import { padding } from './protocol/wire.ts'

/** The bytes are not a NAR. */
export class NotANar extends Error {
  override readonly name = 'NotANar'
}

/** The longest word of the grammar is `nix-archive-1`. */
const longestWord = 16

type Wish = 'word' | 'skip'

/** What a NAR is made of: asks for one string after the other and returns after the last one. */
function* grammar(): Generator<Wish, void, string> {
  yield* expect('nix-archive-1')
  for (let directories = 0; ; ) {
    if ((yield* node()) === 'directory') directories++
    else if (directories > 0) yield* expect(')')
    while (directories > 0) {
      const word = yield 'word'
      if (word === 'entry') break
      if (word !== ')') throw new NotANar(`${JSON.stringify(word)} in a directory`)
      directories--
      if (directories > 0) yield* expect(')')
    }
    if (directories === 0) return
    yield* expect('(', 'name')
    yield 'skip'
    yield* expect('node')
  }
}

/** A directory is left open, everything else is read to its end. */
function* node(): Generator<Wish, 'directory' | 'leaf', string> {
  yield* expect('(', 'type')
  const type = yield 'word'
  if (type === 'directory') return type
  if (type === 'symlink') {
    yield* expect('target')
    yield 'skip'
    yield* expect(')')
    return 'leaf'
  }
  if (type !== 'regular') throw new NotANar(`a node of type ${JSON.stringify(type)}`)
  let word = yield 'word'
  if (word === 'executable') {
    yield* expect('')
    word = yield 'word'
  }
  if (word === 'contents') {
    yield 'skip'
    word = yield 'word'
  }
  if (word !== ')') throw new NotANar(`${JSON.stringify(word)} in a file`)
  return 'leaf'
}

function* expect(...words: string[]): Generator<Wish, void, string> {
  for (const word of words) {
    const found = yield 'word'
    if (found !== word) throw new NotANar(`${JSON.stringify(found)} instead of ${JSON.stringify(word)}`)
  }
}

/** Follows one NAR through the pieces it comes in. */
export class NarScanner {
  readonly #grammar = grammar()
  #wish = this.#grammar.next()
  /** the length or the word that is being put together, and how much of it is there */
  #gathered = Buffer.alloc(longestWord + 8)
  #count = 0
  /** bytes of the current string, -1 while its length is being read */
  #length = -1
  /** bytes still to be skipped, padding included */
  #skip = 0

  /** The whole NAR has been seen. */
  get done(): boolean {
    return this.#wish.done === true
  }

  /** How many of the bytes belong to the NAR: all of them, until it ends. Throws NotANar. */
  push(bytes: Uint8Array): number {
    let at = 0
    while (!this.done) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, bytes.length - at)
        this.#skip -= skipped
        at += skipped
        if (this.#skip > 0) return at
        this.#finish('')
        continue
      }
      const wanted = this.#length < 0 ? 8 : this.#length + padding(this.#length)
      const taken = Math.min(wanted - this.#count, bytes.length - at)
      this.#gathered.set(bytes.subarray(at, at + taken), this.#count)
      this.#count += taken
      at += taken
      if (this.#count < wanted) return at
      this.#count = 0
      if (this.#length < 0) this.#begin()
      else this.#finish(this.#gathered.toString('latin1', 0, this.#length))
    }
    return at
  }

  #begin(): void {
    const length = this.#gathered.readUInt32LE(4) * 2 ** 32 + this.#gathered.readUInt32LE(0)
    if (this.#wish.value === 'word') {
      if (length > longestWord) throw new NotANar(`a word of ${length} bytes`)
      this.#length = length
    } else if (length === 0) this.#finish('')
    else this.#skip = length + padding(length)
  }

  #finish(word: string): void {
    this.#length = -1
    this.#wish = this.#grammar.next(word)
  }
}
