/** Something that only OpenSSH's own client can do; the connection is made with that instead. */
export class BeyondSsh2 extends Error {
  override readonly name = 'BeyondSsh2'
}
