/** A url answers with the expected status, seen from the control machine. */
import type { Check } from './check.ts'
import { healthy, unhealthy } from './health.ts'
import { checkOf, type SpecOf } from './spec.ts'

export function httpCheck(spec: SpecOf<'http'>): Check {
  return checkOf(spec, async ({ edge }, signal) => {
    const status = await edge.httpStatus(spec.url, { signal, headers: spec.headers })
    return isExpected(status, spec.expect) ? healthy : unhealthy(`answered ${status} instead of ${spec.expect}`)
  })
}

/** `2xx` is every status from 200 to 299. */
const isExpected = (status: number, expect: string) =>
  expect.endsWith('xx') ? Math.floor(status / 100) === Number(expect[0]) : status === Number(expect)
