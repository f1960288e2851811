/** Health checks with every default applied. */
import { unitName } from './check-fields.ts'
import { parseDuration } from './duration.ts'
import type { CheckSpec } from './inventory.ts'
import type { RawCheck } from './schema.ts'

/** Undefined when the entry names no kind. */
export function resolveCheck(raw: RawCheck): CheckSpec | undefined {
  const common = {
    severity: raw.severity ?? 'required',
    timeoutMs: parseDuration(raw.timeout ?? '5s') ?? 0,
    intervalMs: parseDuration(raw.interval ?? '1s') ?? 0,
  }
  if (raw.unit !== undefined) return { kind: 'unit', unit: unitName(raw.unit), ...common }
  if (raw.http !== undefined) {
    const http = typeof raw.http === 'string' ? { url: raw.http } : raw.http
    return { kind: 'http', url: http.url, expect: String(http.expect ?? '2xx'), headers: http.headers ?? {}, ...common }
  }
  if (raw.tcp !== undefined) {
    const tcp = typeof raw.tcp === 'number' ? { port: raw.tcp } : raw.tcp
    return { kind: 'tcp', port: tcp.port, host: tcp.host, ...common }
  }
  if (raw.command !== undefined) return { kind: 'command', argv: raw.command, ...common }
  if (raw.local !== undefined) return { kind: 'local', argv: raw.local, ...common }
  return undefined
}

/** What a person would call a check, on one short line. Never a header: they may be secret. */
export function checkTitle(check: CheckSpec): string {
  switch (check.kind) {
    case 'unit':
      return `unit ${check.unit}`
    case 'http':
      return `http ${check.url}`
    case 'tcp':
      return `tcp ${check.host === undefined ? '' : `${check.host.includes(':') ? `[${check.host}]` : check.host}:`}${check.port}`
    default:
      return shortened(`${check.kind} ${check.argv.join(' ')}`)
  }
}

function shortened(title: string): string {
  const line = title.replace(/\s+/g, ' ')
  return line.length > 80 ? `${line.slice(0, 79)}…` : line
}
