/** The user's SSH configuration for one destination, as OpenSSH itself resolves it (`ssh -G`, ssh(1)). */
import { Problem } from '../../problem.ts'
import { runProcess } from '../process.ts'
import type { DestinationArguments } from './destination.ts'

export interface HostConfig {
  /** What was asked for, to be typed again. */
  readonly typed: string
  /** The host in it, `%n`. */
  readonly original: string
  readonly hostName: string
  readonly port: number
  readonly user: string
  /** Values of a keyword, lower case, in the order of `ssh -G`; `none` counts as unset. */
  all(keyword: string): readonly string[]
  one(keyword: string): string | undefined
  /** `yes`, however this version of OpenSSH spells it. */
  on(keyword: string): boolean
  /** Set to `none` in so many words. */
  none(keyword: string): boolean
  /** A comma separated list. */
  list(keyword: string): readonly string[]
}

/** `-F FILE` for another configuration than the user's, for every call of an OpenSSH program that reads one. */
export interface ConfigSource {
  readonly configFile?: string
}

export const configArguments = (source: ConfigSource): readonly string[] =>
  source.configFile === undefined ? [] : ['-F', source.configFile]

/** The answer of `ssh -G`: one keyword and value a line. */
export function parseHostConfig(destination: DestinationArguments, text: string): HostConfig {
  const original = (destination.at(-1) ?? '').replace(/^.*@/s, '')
  const values = new Map<string, string[]>()
  for (const line of text.split('\n')) {
    const [, keyword, value] = /^(\S+) (.*)$/.exec(line) ?? []
    if (keyword === undefined || value === undefined) continue
    const key = keyword.toLowerCase()
    values.set(key, [...(values.get(key) ?? []), value])
  }
  const all = (keyword: string) => (values.get(keyword) ?? []).filter((value) => value !== 'none')
  const one = (keyword: string) => all(keyword)[0]
  return {
    typed: destination.filter((word) => word !== '--').join(' '),
    original,
    hostName: (one('hostname') ?? original).toLowerCase(),
    port: Number(one('port') ?? 22),
    user: one('user') ?? '',
    all,
    one,
    on: (keyword) => ['yes', 'true'].includes(one(keyword) ?? ''),
    none: (keyword) => values.get(keyword)?.[0] === 'none',
    list: (keyword) => one(keyword)?.split(',') ?? [],
  }
}

/** Asks OpenSSH once for each destination: a `Match exec` in the configuration runs programs. */
export class HostConfigs {
  readonly #source: ConfigSource
  readonly #known = new Map<string, Promise<HostConfig>>()

  constructor(source: ConfigSource) {
    this.#source = source
  }

  /** Rejects with a Problem when the configuration is broken or OpenSSH's client is missing. */
  async get(destination: DestinationArguments, signal: AbortSignal): Promise<HostConfig> {
    const key = JSON.stringify(destination)
    const asked = this.#known.get(key) ?? ask(this.#source, destination)
    this.#known.set(key, asked)
    const config = await asked
    signal.throwIfAborted()
    return config
  }
}

async function ask(source: ConfigSource, destination: DestinationArguments): Promise<HostConfig> {
  const argv = ['ssh', ...configArguments(source), '-G', ...destination]
  const { code, stdout, stderr } = await runProcess(argv, { timeoutMs: 20_000 })
  const config = parseHostConfig(destination, stdout)
  if (code === 0) return config
  throw new Problem(`ssh does not accept its configuration for ${config.original}`, {
    detail: stderr.replaceAll('\r', '').trim(),
    hints: [`try: ssh -G ${config.typed}`],
  })
}
