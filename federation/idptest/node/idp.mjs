// npm's oidc-provider, as tests run it: on loopback, authorization code with PKCE, its development pages to sign in, one client for
// each algorithm. Each line on standard input is a command; the end of standard input ends it.
//
//   node idp.mjs PORT KEYS [CERTIFICATE]
//
// KEYS is a file with its private keys, which it makes when there is none; CERTIFICATE, in PEM with its key, makes it https.
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { createInterface } from 'node:readline'
import Provider from 'oidc-provider'

const [port, keyFile, certificate] = process.argv.slice(2)
const algorithms = ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA']

const kinds = {
  RS256: ['rsa', { modulusLength: 2048 }],
  PS256: ['rsa', { modulusLength: 2048 }],
  ES256: ['ec', { namedCurve: 'P-256' }],
  ES384: ['ec', { namedCurve: 'P-384' }],
  EdDSA: ['ed25519', {}],
}

function generation () {
  return algorithms.map((alg) => {
    const { privateKey } = generateKeyPairSync(...kinds[alg])
    return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: `${alg}-${randomUUID()}` }
  })
}

// The generation in front signs. The one before stays published, as tokens that it signed are still about.
let generations = existsSync(keyFile) ? JSON.parse(readFileSync(keyFile)) : [generation()]
const save = () => writeFileSync(keyFile, JSON.stringify(generations), { mode: 0o600 })
save()

function provider (issuer) {
  const p = new Provider(issuer, {
    clients: algorithms.map((alg) => ({
      client_id: `stint-${alg}`,
      token_endpoint_auth_method: 'none',
      application_type: 'native',
      redirect_uris: ['http://127.0.0.1/callback'],
      id_token_signed_response_alg: alg,
    })),
    jwks: { keys: generations.flat() },
    cookies: { keys: [randomUUID()] },
    claims: { openid: ['sub'], profile: ['name', 'department', 'groups'] },
    conformIdTokenClaims: false,
    enabledJWA: { idTokenSigningAlgValues: algorithms },
    features: { devInteractions: { enabled: true } },
    findAccount: (ctx, id) => ({
      accountId: id,
      claims: () => ({ sub: id, name: 'Alice', department: 'build', groups: ['deployers', 'staff'] }),
    }),
    pkce: { required: () => true },
    ttl: { IdToken: 3 * 3600, AccessToken: 600, AuthorizationCode: 60, Interaction: 600, Session: 600, Grant: 600 },
  })
  p.on('server_error', (ctx, err) => console.error(err))
  return p.callback()
}

let fetches = 0 // of the key set
let handler
const serve = (request, response) => {
  if (request.url === '/jwks') fetches++
  handler(request, response)
}
const pem = certificate && readFileSync(certificate)
const server = pem ? createSecureServer({ key: pem, cert: pem }, serve) : createServer(serve)
server.listen(Number(port), '127.0.0.1', () => {
  const issuer = `${pem ? 'https' : 'http'}://127.0.0.1:${server.address().port}`
  handler = provider(issuer)
  console.log(issuer)
  createInterface({ input: process.stdin }).on('line', (command) => {
    if (command === 'rotate') {
      generations = [generation(), generations[0]]
      save()
      handler = provider(issuer)
      console.log('rotated')
    } else if (command === 'fetches') {
      console.log(fetches)
    }
  }).on('close', () => process.exit())
})
