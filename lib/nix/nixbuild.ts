/** What is published about nixbuild.net, a store that builds. */

export const nixbuildHost = 'eu.nixbuild.net'

/** In its shell: a token by which stores are read and written, and which may build. */
export const nixbuildTokenCommand = 'tokens create -p store:read -p store:write -p build:read -p build:write'

/** Type and body of a public key, which may have a comment. */
export const keyWords = (publicKey: string): string[] => publicKey.split(' ').slice(0, 2)

/** docs.nixbuild.net/getting-started; the official GitHub action has the same one. */
export const nixbuildHostKey = {
  key: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPIQCZc54poJ8vqawd8TraNryQeJnvH1eLpIDgbiqymM',
  from: 'docs.nixbuild.net/getting-started',
}
