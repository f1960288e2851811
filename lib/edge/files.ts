/** Files of the control machine. */
import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { Problem } from '../problem.ts'

/** The text of a file; undefined when there is no such file. Rejects with a Problem when it can't be read. */
export async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    const why = code === 'EACCES' ? 'permission denied' : code === 'EISDIR' ? 'it is a directory' : code
    throw new Problem(`can't read ${path}: ${why}`, { kind: 'usage', cause: error })
  }
}

/** Where the command was typed; absolute. Throws a Problem when that directory is gone. */
export function currentDirectory(): string {
  try {
    return process.cwd()
  } catch (cause) {
    throw new Problem('the current directory is gone', { kind: 'usage', cause })
  }
}

/** The parts of the program that does the transaction on a host, by file name; they come with this package. */
export async function readHostProgramParts(): Promise<Map<string, string>> {
  const directory = new URL('../activation/host/', import.meta.url)
  const names = (await readdir(directory)).filter((name) => name.endsWith('.sh'))
  const texts = await Promise.all(names.map((name) => readFile(new URL(name, directory), 'utf8')))
  return new Map(names.map((name, index) => [name, texts[index] ?? '']))
}

/** The version of this package. */
export async function readVersion(): Promise<string> {
  // Compiled files lie one directory deeper than their sources.
  for (const place of ['../../package.json', '../../../package.json']) {
    const text = await readText(fileURLToPath(new URL(place, import.meta.url)))
    if (text !== undefined) return String((JSON.parse(text) as { version?: unknown }).version)
  }
  return 'unknown'
}
