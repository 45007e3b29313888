// SMART Backend Services with fhir-kit-client and jose. README.md has the variables.
import { readFile } from 'node:fs/promises';
import { createHmac, randomUUID } from 'node:crypto';
import { Client } from 'fhir-kit-client';
import { SignJWT, exportJWK, generateKeyPair, importJWK } from 'jose';

const required = ['BASE', 'CLIENT_ID', 'CLIENT_JWK'];
const absent = required.filter((name) => !process.env[name]);
if (absent.length > 0) {
  console.error(`set ${absent.join(', ')}; see README.md`);
  process.exit(2);
}
const { CLIENT_ID, CLIENT_JWK, SCOPE = 'system/Patient.rs', SEARCH = 'Patient?_count=2', FORBIDDEN = 'Consent' } = process.env;
const base = process.env.BASE.replace(/\/+$/, '');
const jwk = JSON.parse(await readFile(CLIENT_JWK, 'utf8'));
const key = await importJWK(jwk, jwk.alg);
const [type, query = ''] = SEARCH.split('?');
const jwtBearer = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

// --- a TAP reporter small enough to read ---

let number = 0;
let failures = 0;
async function test(name, body) {
  number += 1;
  try {
    await body();
    console.log(`ok ${number} - ${name}`);
  } catch (error) {
    failures += 1;
    console.log(`not ok ${number} - ${name}\n  # ${String(error.message ?? error).replaceAll('\n', '\n  # ')}`);
  }
}
function expect(condition, message) {
  if (!condition) throw new Error(message);
}
function equal(got, want, what) {
  expect(Object.is(got, want), `${what}: got ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
}

// --- assertions and token requests ---

const seconds = () => Math.floor(Date.now() / 1000);
let endpoint;

/** Signs an assertion; a claim or header that is undefined is left out. */
async function sign({ claims = {}, header = {}, by = key } = {}) {
  const all = { iss: CLIENT_ID, sub: CLIENT_ID, aud: endpoint, exp: seconds() + 200, jti: randomUUID(), ...claims };
  const head = { alg: jwk.alg, kid: jwk.kid, typ: 'JWT', ...header };
  for (const set of [all, head]) for (const name of Object.keys(set)) if (set[name] === undefined) delete set[name];
  return new SignJWT(all).setProtectedHeader(head).sign(by);
}

async function post(parameters, headers = {}) {
  const response = await fetch(endpoint, {
    method: 'POST',
    redirect: 'error',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded', ...headers },
    body: new URLSearchParams(parameters),
  });
  const text = await response.text();
  let json = null;
  try { json = JSON.parse(text); } catch { /* judged by the caller */ }
  return { status: response.status, headers: response.headers, text, json };
}

async function ask({ scope = SCOPE, assertion, ...more } = {}) {
  return post({ grant_type: 'client_credentials', scope, client_assertion_type: jwtBearer, client_assertion: assertion ?? (await sign()), ...more });
}

async function token(scope) {
  const answer = await ask({ scope });
  equal(answer.status, 200, `token for ${scope}: ${answer.text}`);
  return answer.json.access_token;
}

function refused(answer, ...codes) {
  expect(answer.status === 400 || answer.status === 401, `status ${answer.status}: ${answer.text}`);
  expect(answer.json && codes.includes(answer.json.error), `error ${answer.text}, want ${codes.join(' or ')}`);
  expect(!answer.json.access_token, 'a token beside an error');
  expect(/no-store/.test(answer.headers.get('cache-control') ?? ''), 'an error may be cached');
}

const get = (path, headers = {}) => fetch(`${base}/${path}`, { headers: { Accept: 'application/fhir+json', ...headers } });
const bearer = (t) => ({ Authorization: `Bearer ${t}` });

// --- discovery ---

await test('the discovery document is JSON for every Accept and origin', async () => {
  for (const accept of ['*/*', 'text/html', 'application/fhir+xml']) {
    const r = await fetch(`${base}/.well-known/smart-configuration`, { headers: { Accept: accept, Origin: 'https://app.example' } });
    equal(r.status, 200, `status for ${accept}`);
    expect(r.headers.get('content-type').startsWith('application/json'), `content type ${r.headers.get('content-type')}`);
    expect(['*', 'https://app.example'].includes(r.headers.get('access-control-allow-origin')), 'no CORS header');
    const d = await r.json();
    endpoint = d.token_endpoint;
    new URL(endpoint);
    expect(d.grant_types_supported.includes('client_credentials'), 'no client_credentials');
    expect(d.token_endpoint_auth_methods_supported.includes('private_key_jwt'), 'no private_key_jwt');
    expect(d.token_endpoint_auth_signing_alg_values_supported.includes(jwk.alg), `no ${jwk.alg}`);
    expect(d.code_challenge_methods_supported.includes('S256') && !d.code_challenge_methods_supported.includes('plain'), 'PKCE methods');
    for (const c of ['client-confidential-asymmetric', 'permission-v1', 'permission-v2']) expect(d.capabilities.includes(c), `no ${c}`);
    expect(d.scopes_supported.length > 0, 'no scopes_supported');
    const people = d.capabilities.includes('sso-openid-connect');
    equal(d.issuer !== undefined && d.jwks_uri !== undefined, people, 'issuer and jwks_uri go with sso-openid-connect, and with nothing else');
  }
});
await test('fhir-kit-client finds the same token endpoint', async () => {
  const found = await new Client({ baseUrl: base }).smartAuthMetadata();
  equal(found.tokenUrl?.href, new URL(endpoint).href, 'token URL');
});

// --- tokens ---

let granted;
await test('an assertion buys a short-lived token, not to be cached', async () => {
  const a = await ask();
  equal(a.status, 200, a.text);
  granted = a.json.access_token;
  expect(/^bearer$/i.test(a.json.token_type), a.json.token_type);
  expect(a.json.expires_in > 0 && a.json.expires_in <= 300, `expires_in ${a.json.expires_in}`);
  expect(a.json.scope.length > 0 && a.json.refresh_token === undefined, a.text);
  expect(/no-store/.test(a.headers.get('cache-control')) && /no-cache/.test(a.headers.get('pragma')), 'may be cached');
});
await test('v1 scopes are granted in the form they were asked in', async () => {
  const a = await ask({ scope: `system/${type}.read` });
  equal(a.status, 200, a.text);
  equal(a.json.scope, `system/${type}.read`, 'scope');
});
await test('letters asked apart come back together', async () => {
  equal((await ask({ scope: `system/${type}.r system/${type}.s` })).json.scope, `system/${type}.rs`, 'scope');
});
await test('aud in an array, iat and nbf are fine', async () => {
  const a = await ask({ assertion: await sign({ claims: { aud: [endpoint], iat: seconds(), nbf: seconds() - 5 } }) });
  equal(a.status, 200, a.text);
});
await test('an assertion works once, also for ten callers at once', async () => {
  const assertion = await sign();
  const answers = await Promise.all(Array.from({ length: 10 }, () => ask({ assertion })));
  equal(answers.filter((a) => a.status === 200).length, 1, 'tokens');
  refused(await ask({ assertion }), 'invalid_client');
});

const stranger = await generateKeyPair(jwk.alg, { extractable: true });
const strangerPublic = await exportJWK(stranger.publicKey);
const part = (o) => Buffer.from(JSON.stringify(o)).toString('base64url');
const body = () => part({ iss: CLIENT_ID, sub: CLIENT_ID, aud: endpoint, exp: seconds() + 200, jti: randomUUID() });
function mac(secret) {
  const input = `${part({ alg: 'HS256', kid: jwk.kid })}.${body()}`;
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}
const { d: _d, p: _p, q: _q, dp: _dp, dq: _dq, qi: _qi, ...publicJwk } = jwk;

const badClaims = {
  'no exp': { exp: undefined }, 'exp past': { exp: seconds() - 90 }, 'exp in an hour': { exp: seconds() + 3600 },
  'exp a string': { exp: `${seconds() + 200}` }, 'exp negative': { exp: -1 }, 'exp huge': { exp: 1e300 },
  'nbf in an hour': { nbf: seconds() + 3600 }, 'iat in an hour': { iat: seconds() + 3600 },
  'no jti': { jti: undefined }, 'jti a number': { jti: 1 }, 'jti of 300 bytes': { jti: 'j'.repeat(300) },
  'no aud': { aud: undefined }, 'aud the FHIR base': { aud: base }, 'aud for two servers': { aud: ['https://other.example/token'] },
  'sub of another': { sub: 'another' }, 'iss of another': { iss: 'another' }, 'unknown client': { iss: 'nobody', sub: 'nobody' },
};
for (const [name, claims] of Object.entries(badClaims)) {
  await test(`refused: ${name}`, async () => refused(await ask({ assertion: await sign({ claims }) }), 'invalid_client'));
}
const badHeaders = {
  'no kid': { kid: undefined }, 'unknown kid': { kid: 'unknown' }, 'kid with a path': { kid: '../../etc/passwd' },
  'foreign jku': { jku: 'http://127.0.0.1:9/jwks.json' }, 'typ of an access token': { typ: 'at+jwt' },
};
for (const [name, header] of Object.entries(badHeaders)) {
  await test(`refused: ${name}`, async () => refused(await ask({ assertion: await sign({ header }) }), 'invalid_client'));
}
const forged = {
  'a stranger under the registered kid': () => sign({ by: stranger.privateKey }),
  'a stranger with an embedded key': () => sign({ by: stranger.privateKey, header: { jwk: strangerPublic } }),
  'alg none': async () => `${part({ alg: 'none', kid: jwk.kid })}.${body()}.`,
  'HS256 with the public key as secret': async () => mac(JSON.stringify(publicJwk)),
  'a changed claim': async () => { const [h, , s] = (await sign()).split('.'); return `${h}.${body()}.${s}`; },
};
for (const [name, make] of Object.entries(forged)) {
  await test(`refused: ${name}`, async () => refused(await ask({ assertion: await make() }), 'invalid_client'));
}
await test('nobody learns which clients exist', async () => {
  const unknown = await ask({ assertion: await sign({ claims: { iss: 'nobody', sub: 'nobody' } }) });
  const impostor = await ask({ assertion: await sign({ by: stranger.privateKey }) });
  equal(impostor.text, unknown.text, 'body');
  equal(impostor.status, unknown.status, 'status');
});
const badForms = {
  'another client_id': [{ client_id: 'another' }, 'invalid_client'],
  'a client_secret': [{ client_secret: 'x' }, 'invalid_request'],
  'another grant_type': [{ grant_type: 'password' }, 'unsupported_grant_type'],
  'another assertion type': [{ client_assertion_type: 'x' }, 'invalid_request', 'invalid_client'],
  'no scope': [{ scope: '' }, 'invalid_scope', 'invalid_request'],
  'an unknown type': [{ scope: 'system/Nonsense.rs' }, 'invalid_scope'],
  'letters out of order': [{ scope: `system/${type}.sr` }, 'invalid_scope'],
  'a user scope': [{ scope: `user/${type}.rs` }, 'invalid_scope'],
  'a type that is not registered': [{ scope: `system/${FORBIDDEN}.d` }, 'invalid_scope'],
};
for (const [name, [form, ...codes]] of Object.entries(badForms)) {
  await test(`refused: ${name}`, async () => refused(await ask(form), ...codes));
}
await test('refused: a parameter twice, a secret in a header, JSON, GET', async () => {
  const twice = new URLSearchParams({ grant_type: 'client_credentials', scope: SCOPE, client_assertion_type: jwtBearer, client_assertion: await sign() });
  twice.append('scope', SCOPE);
  refused(await post(twice), 'invalid_request');
  refused(await post({ grant_type: 'client_credentials', scope: SCOPE }, { Authorization: `Basic ${btoa(`${CLIENT_ID}:x`)}` }), 'invalid_client');
  refused(await post({ grant_type: 'client_credentials' }, { 'Content-Type': 'application/json' }), 'invalid_request');
  equal((await fetch(`${endpoint}?grant_type=client_credentials`)).status, 405, 'GET');
});

// --- the FHIR side ---

let found;
await test('fhir-kit-client searches and reads', async () => {
  const client = new Client({ baseUrl: base, bearerToken: granted });
  const bundle = await client.search({ resourceType: type, searchParams: Object.fromEntries(new URLSearchParams(query)) });
  equal(bundle.type, 'searchset', 'type');
  found = bundle.entry?.map((e) => e.resource).find((r) => r.resourceType === type);
  expect(found, `${SEARCH} finds nothing`);
  equal((await client.read({ resourceType: type, id: found.id })).id, found.id, 'id');
});
await test('r alone reads, s alone searches', async () => {
  const r = bearer(await token(`system/${type}.r`));
  const s = bearer(await token(`system/${type}.s`));
  equal((await get(`${type}/${found.id}`, r)).status, 200, 'read with r');
  equal((await get(SEARCH, r)).status, 403, 'search with r');
  equal((await get(SEARCH, s)).status, 200, 'search with s');
  equal((await get(`${type}/${found.id}`, s)).status, 403, 'read with s');
});
await test('a scope opens its own type only', async () => {
  equal((await get(`${FORBIDDEN}?_count=1`, bearer(await token(`system/${type}.rs`)))).status, 403, 'status');
});
await test('without a good token: 401, a challenge and an OperationOutcome', async () => {
  const tampered = `${granted.slice(0, -8)}AAAAAAAA`;
  for (const [headers, code] of [[{}, null], [bearer(tampered), 'invalid_token'], [bearer(await sign()), 'invalid_token'], [bearer('x'), 'invalid_token']]) {
    const r = await get(SEARCH, headers);
    equal(r.status, 401, 'status');
    const challenge = r.headers.get('www-authenticate') ?? '';
    expect(/^Bearer/i.test(challenge) && challenge.includes('error=') === (code !== null) && challenge.includes(code ?? ''), challenge);
    equal((await r.json()).resourceType, 'OperationOutcome', 'body');
  }
  const separator = SEARCH.includes('?') ? '&' : '?';
  equal((await get(`${SEARCH}${separator}access_token=${encodeURIComponent(granted)}`)).status, 401, 'token in the URL');
});

console.log(`1..${number}\n# ${number - failures} passed, ${failures} failed`);
process.exit(failures > 0 ? 1 : 0);
