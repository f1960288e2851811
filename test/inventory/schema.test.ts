import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { toJsonSchema } from '@valibot/to-json-schema'
import { test } from 'tap'
import { builderFields } from '../../lib/inventory/builder-fields.ts'
import { checkFields, checkKinds } from '../../lib/inventory/check-fields.ts'
import { hostFields, inventoryFields } from '../../lib/inventory/schema.ts'

const documentation = fileURLToPath(new URL('../../docs/', import.meta.url))
const file = `${documentation}hosts.schema.json`

/** What only code can say (that a store has a host, say) is left to `deploy`; editors get the rest. */
function jsonSchema(): string {
  const schema = toJsonSchema(inventoryFields, {
    target: 'draft-07',
    typeMode: 'input',
    ignoreActions: ['check'],
    definitions: { host: hostFields, check: checkFields },
  })
  return `${JSON.stringify(schema, null, 2)}\n`
}

test('the JSON Schema for editors says what the schema says', async (t) => {
  // `npm run schema` sets this.
  if (process.env['WRITE_SCHEMA'] === '1') writeFileSync(file, jsonSchema())
  t.equal(readFileSync(file, 'utf8'), jsonSchema(), 'npm run schema brings it up to date')
})

test('every field and every kind of check is in the reference', async (t) => {
  const reference = readFileSync(`${documentation}hosts.yaml.md`, 'utf8')
  const fields = [...Object.keys(inventoryFields.entries), ...Object.keys(hostFields.entries)]
  for (const field of [...fields, ...Object.keys(builderFields.entries), ...Object.keys(checkFields.entries)])
    t.match(reference, `\`${field}\``, field)
  for (const kind of checkKinds) t.match(reference, `### \`${kind}\``, kind)
})
