/** One entry of `checks`: one kind, and what every kind has. A new kind adds its field and its name here. */
import * as v from 'valibot'
import { about, argv, httpUrl, positiveDuration, unless } from './fields.ts'

export const checkKinds = ['unit', 'http', 'tcp', 'command', 'local'] as const

const unitTypes = 'service|socket|device|mount|automount|swap|target|path|timer|slice|scope'

/** systemd's own convention: a name without a type is a service. */
export const unitName = (text: string): string =>
  new RegExp(`\\.(${unitTypes})$`).test(text) ? text : `${text}.service`

// Letters and length: systemd.unit(5). A pattern would match many units, a template is none.
const unit = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z0-9:_.\\@-]{1,240}$/, 'is not the name of a unit'),
  unless((text) => (/@(\.[a-z]+)?$/.test(text) ? 'is a template: name an instance of it' : undefined)),
)

const port = v.pipe(
  v.number('must be a port: a number from 1 to 65535'),
  v.integer('must be a whole number'),
  v.minValue(1, 'must be a port from 1 to 65535'),
  v.maxValue(65535, 'must be a port from 1 to 65535'),
)

const expectedStatus = v.union(
  [
    v.pipe(v.string(), v.regex(/^[1-5](xx|\d\d)$/, 'must be a status like 204 or a class like 2xx')),
    v.pipe(v.number(), v.integer(), v.minValue(100, statusWords), v.maxValue(599, statusWords)),
  ],
  statusWords,
)

function statusWords(): string {
  return 'must be a status like 204 or a class like 2xx'
}

const headerName = v.pipe(v.string(), v.regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, 'is not the name of a header'))
const headerValue = v.pipe(v.string(), v.regex(/^[\t\x20-\x7e\x80-\xff]*$/, 'contains a letter no header can carry'))

const http = v.union(
  [
    httpUrl,
    v.strictObject({
      url: v.pipe(httpUrl, about('What to GET, from the control machine. Redirects are not followed.')),
      expect: v.optional(v.pipe(expectedStatus, about('The status of a healthy answer.', '2xx'))),
      headers: v.optional(v.pipe(v.record(headerName, headerValue), about('Headers to send.'))),
    }),
  ],
  'must be a url, or a map with url',
)

const tcpHost = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_.:%-]+$/, 'is not a host name or address'))

const tcp = v.union(
  [
    port,
    v.strictObject({
      port: v.pipe(port, about('The port that must accept a connection from the control machine.')),
      host: v.optional(
        v.pipe(
          tcpHost,
          about('The host to connect to; default: where the login leads to, HostName of ssh_config included.'),
        ),
      ),
    }),
  ],
  'must be a port (a number from 1 to 65535), or a map with port',
)

const kindMistake = (check: object) => {
  const kinds = checkKinds.filter((kind) => kind in check)
  if (kinds.length === 0) return `names no kind of check: ${checkKinds.join(', ')}`
  return kinds.length > 1 ? `is ${kinds.join(' and ')} at once: make it ${kinds.length} checks` : undefined
}

export const checkFields = v.pipe(
  v.strictObject({
    unit: v.optional(v.pipe(unit, about('This systemd unit is active on the host.'))),
    http: v.optional(v.pipe(http, about('This url answers.'))),
    tcp: v.optional(v.pipe(tcp, about('This port accepts connections.'))),
    command: v.optional(v.pipe(argv, about('This program exits with 0 on the host, run as the login user.'))),
    local: v.optional(v.pipe(argv, about('This program exits with 0 on the control machine.'))),
    timeout: v.optional(v.pipe(positiveDuration, about('How long one try may take.', '5s'))),
    interval: v.optional(v.pipe(positiveDuration, about('How long to wait between two tries.', '1s'))),
    severity: v.optional(
      v.pipe(
        v.picklist(['required', 'warn']),
        about('A failing warn check is told of and rolls nothing back.', 'required'),
      ),
    ),
  }),
  v.check(
    (check) => kindMistake(check) === undefined,
    (issue) => kindMistake(issue.input) ?? '',
  ),
  v.metadata({ oneOf: checkKinds.map((kind) => ({ required: [kind] })) }),
)
