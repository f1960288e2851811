/** Which inventory is meant: the one named with -f, or hosts.yaml here or in the nearest directory above. */
import { dirname, join, relative, resolve } from 'node:path'
import { Problem } from '../problem.ts'

/** Files, handed in from the edge. */
export interface InventoryFiles {
  /** The text of a file, undefined when there is no such file. Rejects with a Problem when it can't be read. */
  read(path: string): Promise<string | undefined>
}

export interface InventorySearch {
  /** The current directory, absolute. */
  readonly directory: string
  /** What -f/--hosts was given. */
  readonly file?: string | undefined
}

export interface FoundInventory {
  readonly text: string
  /** Absolute. */
  readonly file: string
  /** The file as the person would name it from where they stand. */
  readonly shownAs: string
}

/** Rejects with a Problem of kind `usage` when there is none. */
export async function findInventory(search: InventorySearch, files: InventoryFiles): Promise<FoundInventory> {
  if (search.file !== undefined) {
    const file = resolve(search.directory, search.file)
    const text = await files.read(file)
    if (text === undefined) throw new Problem(`there is no file ${search.file}`, { kind: 'usage' })
    return { text, file, shownAs: search.file }
  }
  for (let directory = search.directory; ; directory = dirname(directory)) {
    const file = join(directory, 'hosts.yaml')
    const text = await files.read(file)
    if (text !== undefined) return { text, file, shownAs: relative(search.directory, file) }
    if (directory === dirname(directory)) break
  }
  throw new Problem('there is no hosts.yaml here, nor in any directory above', {
    kind: 'usage',
    hints: ['write one (docs/hosts.yaml.md describes every field), or name another file with -f FILE'],
  })
}
