/**
 * For OpenSSH's own client, which reads the configuration of the hops itself: the user's, except that a hop without
 * host key checking accepts new keys and no changed ones.
 */
import { writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { hopArguments } from './destination.ts'
import type { ConfigSource, HostConfig, HostConfigs } from './host-config.ts'

const deepest = 10

/** `StrictHostKeyChecking no`, in any spelling. */
export const careless = (config: HostConfig): boolean =>
  ['no', 'off', 'false'].includes(config.one('stricthostkeychecking') ?? '')

/** `place` is a directory of ours for the file, if one is needed. */
export async function carefulSource(
  config: HostConfig,
  place: string,
  from: { source: ConfigSource; configs: HostConfigs; signal: AbortSignal },
): Promise<ConfigSource> {
  const hops = await carelessHops(config, from, 0)
  if (hops.length === 0) return from.source
  const { configFile } = from.source
  const files = configFile === undefined ? ['~/.ssh/config', '/etc/ssh/ssh_config'] : [resolve(configFile)]
  const rules = [`Host ${hops.join(' ')}`, '  StrictHostKeyChecking accept-new', 'Host *']
  const file = join(place, 'config')
  await writeFile(file, [...rules, ...files.map((one) => `  Include "${one}"`), ''].join('\n'))
  return { configFile: file }
}

async function carelessHops(
  config: HostConfig,
  from: { configs: HostConfigs; signal: AbortSignal },
  depth: number,
): Promise<string[]> {
  const found: string[] = []
  for (const hop of depth < deepest ? config.list('proxyjump') : []) {
    const hopConfig = await from.configs.get(hopArguments(hop), from.signal)
    if (careless(hopConfig)) found.push(hopConfig.original)
    found.push(...(await carelessHops(hopConfig, from, depth + 1)))
  }
  return found
}
