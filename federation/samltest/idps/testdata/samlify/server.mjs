// An identity provider on loopback, for a test: samlify with a page to sign in. Usage: node server.mjs DIRECTORY, which holds test.json,
// key.pem and certificate.pem, and into which npm has installed samlify. It prints its URL.
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const [dir, modules] = process.argv.slice(2)
const samlify = createRequire(join(modules, 'package.json'))('samlify')
samlify.setSchemaValidator({ validate: async () => 'this provider looks at signatures' })
const { Constants, IdentityProvider, SamlLib, ServiceProvider } = samlify
const { binding } = Constants.namespace
const read = name => readFileSync(join(dir, name), 'utf8')
const test = JSON.parse(read('test.json'))
const pem = base64 => `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`
const escape = text => text.replace(/[&<>"']/g, c => `&#${c.charCodeAt(0)};`)
let url

// partyOf is the service provider as samlify sees it, with a provider of its own: what is signed and encrypted differs.
function partyOf (entityID) {
  const party = test.parties.find(p => p.entityID === entityID)
  if (!party) throw new Error('unknown party')
  const provider = IdentityProvider({
    entityID: url + '/metadata',
    signingCert: read('certificate.pem'),
    privateKey: read('key.pem'),
    wantAuthnRequestsSigned: party.requestCertificate !== null,
    requestSignatureAlgorithm: 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256',
    isAssertionEncrypted: party.encryptionCertificate !== null,
    dataEncryptionAlgorithm: 'http://www.w3.org/2009/xmlenc11#aes256-gcm',
    nameIDFormat: ['urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress'],
    singleSignOnService: [{ Binding: binding.post, Location: url + '/sso' }, { Binding: binding.redirect, Location: url + '/sso' }],
    loginResponseTemplate: { context: SamlLib.defaultLoginResponseTemplate.context, attributes: [] }
  })
  const sp = ServiceProvider({
    entityID,
    authnRequestsSigned: party.requestCertificate !== null,
    wantAssertionsSigned: party.signAssertion,
    wantMessageSigned: party.signResponse,
    signingCert: party.requestCertificate ? pem(party.requestCertificate) : undefined,
    encryptCert: party.encryptionCertificate ? pem(party.encryptionCertificate) : undefined,
    assertionConsumerService: [{ Binding: binding.post, Location: party.acs }]
  })
  return { provider, sp, party }
}

// issuerOf reads who claims to have sent a request. The signature is checked with the keys of that party.
function issuerOf (request, deflated) {
  const text = deflated ? samlify.Utility.inflateString(request) : Buffer.from(request, 'base64').toString()
  return samlify.Extractor.extract(text, samlify.Extractor.loginRequestFields).issuer
}

// accept verifies a request and returns what the page to sign in has to remember.
async function accept (method, query, raw, form) {
  if (method === 'GET' && query.has('party')) return { entityID: query.get('party'), request: '', relayState: query.get('RelayState') ?? '' }
  const fields = method === 'GET' ? query : form
  const entityID = issuerOf(fields.get('SAMLRequest'), method === 'GET')
  const { provider, sp, party } = partyOf(entityID)
  const message = method === 'GET'
    ? { query: Object.fromEntries(query), octetString: raw.replace(/&Signature=[^&]*/, '') }
    : { body: Object.fromEntries(form) }
  const { extract } = await provider.parseLoginRequest(sp, method === 'GET' ? 'redirect' : 'post', message)
  if (extract.request.assertionConsumerServiceUrl !== party.acs) throw new Error('unknown assertion consumer service')
  return { entityID, request: extract.request.id, relayState: fields.get('RelayState') ?? '' }
}

const waiting = new Map() // sign-ins under way

const page = body => `<!DOCTYPE html><html lang="en"><title>Sign in</title><body>${body}</body></html>`

function loginPage (state, message) {
  const id = randomUUID()
  waiting.set(id, state)
  return page(`<h1>Sign in</h1><p>${escape(message)}</p><form method="post" action="/login"><input type="hidden" name="state" value="${id}">
<label>Name <input name="username" autocomplete="username"></label> <label>Password <input type="password" name="password"></label>
<button>Sign in</button></form>`)
}

// answer makes the response, and the page that brings it to the party.
async function answer (state, user) {
  const { provider, sp, party } = partyOf(state.entityID)
  const now = new Date()
  const soon = new Date(now.getTime() + 5 * 60_000).toISOString()
  const attributes = Object.entries(user.attributes).map(([name, values]) => `<saml:Attribute Name="${escape(name)}">` +
    values.map(v => `<saml:AttributeValue>${escape(v)}</saml:AttributeValue>`).join('') + '</saml:Attribute>').join('')
  const fill = template => {
    const id = '_' + randomUUID()
    let context = SamlLib.replaceTagsByValue(template, {
      ID: id, AssertionID: '_' + randomUUID(), Destination: party.acs, Audience: party.entityID, SubjectRecipient: party.acs,
      Issuer: url + '/metadata', IssueInstant: now.toISOString(), StatusCode: Constants.StatusCode.Success, ConditionsNotBefore: now.toISOString(),
      ConditionsNotOnOrAfter: soon, SubjectConfirmationDataNotOnOrAfter: soon, NameID: user.name,
      NameIDFormat: 'urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress', InResponseTo: state.request || undefined,
      AuthnStatement: '', AttributeStatement: ''
    })
    context = context.replace('</saml:Conditions>', `</saml:Conditions><saml:AuthnStatement AuthnInstant="${now.toISOString()}"><saml:AuthnContext>` +
      '<saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport</saml:AuthnContextClassRef></saml:AuthnContext>' +
      `</saml:AuthnStatement><saml:AttributeStatement>${attributes}</saml:AttributeStatement>`)
    return { id, context }
  }
  const { context } = await provider.createLoginResponse(sp, {}, 'post', {}, { customTagReplacement: fill, encryptThenSign: party.encryptionCertificate !== null })
  return page(`<form method="post" action="${escape(party.acs)}"><input type="hidden" name="SAMLResponse" value="${context}">
<input type="hidden" name="RelayState" value="${escape(state.relayState)}"><button>Continue</button></form><script>document.forms[0].submit()</script>`)
}

async function serve (request) {
  const { pathname, searchParams, search } = new URL(request.url, url)
  let body = ''
  for await (const chunk of request) body += chunk
  const form = new URLSearchParams(body)
  switch (pathname) {
    case '/metadata': return partyOf(test.parties[0].entityID).provider.getMetadata()
    case '/sso': return loginPage(await accept(request.method, searchParams, search.slice(1), form), '')
    case '/login': {
      const state = waiting.get(form.get('state'))
      waiting.delete(form.get('state'))
      const user = test.users.find(u => u.name === form.get('username') && u.password === form.get('password'))
      if (!state) throw new Error('this page is old')
      return user ? answer(state, user) : loginPage(state, 'Name or password are wrong.')
    }
  }
  throw new Error('no such page')
}

const server = createServer((request, response) => {
  serve(request).then(body => {
    response.writeHead(200, { 'Content-Type': body.startsWith('<!DOCTYPE') ? 'text/html; charset=utf-8' : 'application/samlmetadata+xml' })
    response.end(body)
  }, error => {
    console.log(error)
    response.writeHead(400, { 'Content-Type': 'text/html; charset=utf-8' })
    response.end(page(`<p>${escape(String(error.message ?? error))}</p>`))
  })
})
server.listen(0, '127.0.0.1', () => {
  url = `http://127.0.0.1:${server.address().port}`
  console.log(`listening on ${url} .`)
})
