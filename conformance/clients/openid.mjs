// openid-client: discovery, client credentials, the code flow through the pages,
// id token, userinfo, refresh, introspection and revocation.
import * as client from 'openid-client';
import { done, equal, expect, fails, marisol, plainApp, privateKey, serveApp, settings, test } from './harness.mjs';
import { launchBrowser, walk } from './walk.mjs';

const set = settings('BASE', 'OWN', 'PERSON', 'CLIENT_ID', 'CLIENT_JWK', 'BOARD_JWK');
const base = set.BASE.replace(/\/+$/, '');
const issuer = new URL(new URL(base).origin);
const board = await privateKey(set.BOARD_JWK);
const other = await privateKey(set.CLIENT_JWK);
const server = await serveApp(set.OWN, plainApp);
const browser = await launchBrowser();
const redirect = `${set.OWN}/callback`;
const insecure = { execute: [client.allowInsecureRequests] }; // plain HTTP: to this machine only
const get = (config, token, path) => client.fetchProtectedResource(config, token, new URL(`${base}/${path}`), 'GET', undefined, new Headers({ Accept: 'application/fhir+json' }));

const config = await test('discovery from the issuer: OpenID Connect', () => client.discovery(issuer, 'own-board', undefined, client.PrivateKeyJwt(board), insecure));
await test('discovery from the issuer: RFC 8414, the same endpoints', async () => {
  const again = await client.discovery(issuer, 'own-board', undefined, client.PrivateKeyJwt(board), { ...insecure, algorithm: 'oauth2' });
  for (const name of ['issuer', 'authorization_endpoint', 'token_endpoint', 'jwks_uri', 'introspection_endpoint', 'revocation_endpoint']) {
    expect(config.serverMetadata()[name], `no ${name}`);
    equal(again.serverMetadata()[name], config.serverMetadata()[name], name);
  }
  expect(config.serverMetadata().supportsPKCE('S256'), 'no PKCE');
});

// --- client credentials ---

await test('client credentials with aud the issuer, for a client with acceptIssuerAud', async () => {
  const tokens = await client.clientCredentialsGrant(config, { scope: 'system/Patient.rs' });
  equal(tokens.scope, 'system/Patient.rs', 'scope');
  expect(tokens.expires_in <= 300 && tokens.refresh_token === undefined, 'a long-lived token');
  equal((await get(config, tokens.access_token, 'Patient?_count=1')).status, 200, 'search');
});
await test('without acceptIssuerAud the issuer is refused, and the token URL is taken', async () => {
  const asIssuer = await client.discovery(issuer, set.CLIENT_ID, undefined, client.PrivateKeyJwt(other), insecure);
  equal((await fails(client.clientCredentialsGrant(asIssuer, { scope: 'system/Patient.rs' }), 'aud the issuer')).error, 'invalid_client', 'error');
  const toTokenURL = { [client.modifyAssertion]: (_header, payload) => { payload.aud = config.serverMetadata().token_endpoint; } };
  const asSMART = await client.discovery(issuer, set.CLIENT_ID, undefined, client.PrivateKeyJwt(other, toTokenURL), insecure);
  equal((await client.clientCredentialsGrant(asSMART, { scope: 'system/Patient.rs' })).scope, 'system/Patient.rs', 'scope');
});

// --- a person ---

const scope = 'launch/patient openid fhirUser profile offline_access patient/Patient.rs patient/Encounter.rs';
async function authorize(more = {}, steps = { patient: marisol }) {
  const pkceCodeVerifier = client.randomPKCECodeVerifier();
  const checks = { pkceCodeVerifier, expectedState: client.randomState(), expectedNonce: client.randomNonce(), idTokenExpected: true };
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: redirect, scope, state: checks.expectedState, nonce: checks.expectedNonce, aud: base,
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: 'S256', ...more,
  });
  const context = await browser.newContext();
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  const landed = await walk(page, url.href, JSON.parse(set.PERSON), set.OWN, steps);
  await context.close();
  return { landed, checks };
}

client.enableNonRepudiationChecks(config); // the id token's signature, by the keys at jwks_uri
const person = await test('authorization code with PKCE: state, nonce, signature, at_hash and times of the id token', async () => {
  const { landed, checks } = await authorize();
  const tokens = await client.authorizationCodeGrant(config, landed, checks);
  const said = tokens.claims();
  equal(said.iss, issuer.origin, 'iss');
  equal(String(said.aud), 'own-board', 'aud');
  expect(said.fhirUser.startsWith(`${base}/Practitioner/`) && said.name && said.auth_time && said.amr.length >= 2, JSON.stringify(said));
  expect(tokens.refresh_token && tokens.patient && tokens.expires_in <= 3600, 'refresh token, patient or lifetime');
  equal((await get(config, tokens.access_token, `Patient/${tokens.patient}`)).status, 200, 'the patient');
  const reused = await fails(client.authorizationCodeGrant(config, landed, checks), 'the code, a second time');
  equal(reused.error, 'invalid_grant', 'error');
  equal((await get(config, tokens.access_token, `Patient/${tokens.patient}`).catch((e) => e)).status, 401, 'after the code came twice');
  return tokens;
});
await test('a wrong code_verifier gives no token', async () => {
  const { landed, checks } = await authorize();
  equal((await fails(client.authorizationCodeGrant(config, landed, { ...checks, pkceCodeVerifier: client.randomPKCECodeVerifier() }), 'the exchange')).error, 'invalid_grant', 'error');
});

let tokens;
await test('userinfo is about the person of the id token', async () => {
  const { landed, checks } = await authorize();
  tokens = await client.authorizationCodeGrant(config, landed, checks);
  equal(tokens.claims().sub, person.claims().sub, 'sub of another sign-in');
  const info = await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub);
  equal(info.fhirUser, tokens.claims().fhirUser, 'fhirUser');
});
await test('refresh: the same, then less, never more', async () => {
  const same = await client.refreshTokenGrant(config, tokens.refresh_token);
  equal(same.scope, tokens.scope, 'scope');
  equal(same.patient, tokens.patient, 'patient');
  expect(same.refresh_token && same.refresh_token !== tokens.refresh_token, 'the refresh token is not rotated');
  equal(same.claims()?.sub, tokens.claims().sub, 'sub');
  const less = await client.refreshTokenGrant(config, same.refresh_token, { scope: 'patient/Patient.r' });
  equal(less.scope, 'patient/Patient.r', 'scope');
  equal((await get(config, less.access_token, `Patient/${tokens.patient}`)).status, 200, 'read');
  equal((await get(config, less.access_token, 'Encounter').catch((e) => e)).status, 403, 'search of another type');
  const more = await fails(client.refreshTokenGrant(config, less.refresh_token, { scope: 'user/Patient.rs' }), 'more than was granted');
  equal(more.error, 'invalid_scope', 'error');
  tokens = { ...tokens, access_token: same.access_token, refresh_token: less.refresh_token };
});
await test('introspection tells a resource server of the token', async () => {
  const about = await client.tokenIntrospection(config, tokens.access_token);
  equal(about.active, true, 'active');
  equal(about.client_id, 'own-board', 'client_id');
  equal(about.patient, tokens.patient, 'patient');
  equal(about.scope, scope, 'scope');
  expect(about.exp > Date.now() / 1000 && about.fhirUser?.startsWith(`${base}/Practitioner/`), JSON.stringify(about));
  equal((await client.tokenIntrospection(config, tokens.refresh_token)).active, true, 'refresh token');
  equal(JSON.stringify(await client.tokenIntrospection(config, 'nonsense')), '{"active":false}', 'of nonsense');
});
await test('revoking the refresh token ends all that came of it, at once', async () => {
  await client.tokenRevocation(config, tokens.refresh_token, { token_type_hint: 'refresh_token' });
  equal((await get(config, tokens.access_token, `Patient/${tokens.patient}`).catch((e) => e)).status, 401, 'access token');
  equal((await fails(client.refreshTokenGrant(config, tokens.refresh_token), 'refresh')).error, 'invalid_grant', 'error');
  for (const token of [tokens.access_token, tokens.refresh_token]) equal(JSON.stringify(await client.tokenIntrospection(config, token)), '{"active":false}', 'introspection');
  await client.tokenRevocation(config, 'nonsense'); // RFC 7009 2.2: no error
});
await test('revoking an access token ends it', async () => {
  const own = await client.clientCredentialsGrant(config, { scope: 'system/Patient.rs' });
  await client.tokenRevocation(config, own.access_token);
  equal((await get(config, own.access_token, 'Patient?_count=1').catch((e) => e)).status, 401, 'status');
});

// --- what must not go through ---

await test('no code for another server (aud), and none without PKCE', async () => {
  for (const [more, code] of [[{ aud: 'https://other.example/fhir' }, 'invalid_target'], [{ code_challenge_method: 'plain' }, 'invalid_request'], [{ scope: 'openid system/Patient.rs' }, 'invalid_scope']]) {
    const context = await browser.newContext();
    const page = await context.newPage();
    const checks = { expectedState: client.randomState(), pkceCodeVerifier: client.randomPKCECodeVerifier() };
    await page.goto(client.buildAuthorizationUrl(config, {
      redirect_uri: redirect, scope, state: checks.expectedState, aud: base, code_challenge: await client.calculatePKCECodeChallenge(checks.pkceCodeVerifier), code_challenge_method: 'S256', ...more,
    }).href);
    const error = await fails(client.authorizationCodeGrant(config, new URL(page.url()), checks), JSON.stringify(more));
    equal(error.error, code, JSON.stringify(more));
    await context.close();
  }
});

await browser.close();
server.close();
done();
