/** Files of the control machine. */
import { readdir, readFile, stat } from 'node:fs/promises'
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

/** Secrets that hosts.yaml says where to find. Reject with a Problem; what they hold is never shown. */
export const secrets = {
  async variable(name: string): Promise<string> {
    const value = process.env[name]?.trim()
    if (value) return value
    throw new Problem(`the environment variable ${name}, which has the token, is not set`, { kind: 'usage' })
  },
  async file(path: string): Promise<string> {
    const text = (await readText(path))?.trim()
    if (!text)
      throw new Problem(`${path}, which has the token, ${text === '' ? 'is empty' : 'is not there'}`, { kind: 'usage' })
    const { mode } = await stat(path)
    if ((mode & 0o077) === 0) return text
    throw new Problem(`${path} has a token, and others may read it`, { kind: 'usage', hints: [`chmod 600 ${path}`] })
  },
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
