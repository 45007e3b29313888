// fhirclient: in a page of the browser as a public app, launched by itself and by
// the EHR, and on a server as an app with a key.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import smart from 'fhirclient';
import { clientToken } from './backend-token.mjs';
import { done, equal, expect, fails, marisol, serveApp, settings, test } from './harness.mjs';
import { heading, launchBrowser, walk } from './walk.mjs';

const set = settings('BASE', 'OWN', 'PERSON', 'CLIENT_ID', 'CLIENT_JWK', 'BOARD_JWK');
const base = set.BASE.replace(/\/+$/, '');
const origin = new URL(base).origin;
const person = JSON.parse(set.PERSON);
const library = await readFile(createRequire(import.meta.url).resolve('fhirclient/build/fhir-client.js'));

const scope = 'launch/patient launch/encounter openid fhirUser offline_access patient/Patient.rs patient/Encounter.rs user/Practitioner.r';
const page = (script) => `<!DOCTYPE html><html lang="en"><title>The app</title><h1>The app</h1><script src="/fhir-client.js"></script><script>${script}</script></html>`;
const authorize = (more) => `FHIR.oauth2.authorize(${JSON.stringify({ clientId: 'own-app', redirectUri: `${set.OWN}/callback`, pkceMode: 'required', ...more })}).catch((e) => { document.title = 'failed: ' + e.message; });`;

// --- the app on a server keeps its state here ---

const kept = new Map();
const storage = { get: async (key) => kept.get(key), set: async (key, value) => { kept.set(key, value); return value; }, unset: async (key) => kept.delete(key) };
let onServer;
const boardKey = JSON.parse(await readFile(set.BOARD_JWK, 'utf8'));

const server = await serveApp(set.OWN, async (url, request, response) => {
  switch (url.pathname) {
    case '/fhir-client.js': return { type: 'text/javascript', body: library };
    case '/start': return page(authorize({ iss: base, scope }));
    case '/launch': return page(authorize({ scope: 'launch openid fhirUser online_access patient/Patient.rs patient/Encounter.rs' }));
    case '/server':
      await smart(request, response, storage).authorize({
        iss: base, clientId: 'own-board', redirectUri: `${set.OWN}/callback`, clientPrivateJwk: boardKey, pkceMode: 'required',
        scope: 'launch/patient openid fhirUser offline_access patient/Patient.rs',
      });
      return null;
    case '/callback':
      if (await kept.get(url.searchParams.get('state'))) {
        onServer = await smart(request, response, storage).ready();
        return '<!DOCTYPE html><html lang="en"><title>The app</title><h1>The app is open</h1></html>';
      }
      return page("FHIR.oauth2.ready().then((c) => { window.client = c; document.querySelector('h1').textContent = 'The app is open'; }).catch((e) => { window.failed = e.message; document.querySelector('h1').textContent = 'The app is not open'; });");
    default: return undefined;
  }
});
const browser = await launchBrowser();

/** Starts the app and goes through the pages until it is open. */
async function open(path, steps) {
  const context = await browser.newContext();
  context.setDefaultTimeout(15_000);
  const tab = await context.newPage();
  await tab.goto(`${set.OWN}${path}`);
  await tab.waitForURL((url) => url.origin === origin);
  await walk(tab, tab.url(), person, set.OWN, steps);
  await tab.waitForFunction(() => /^The app is/.test(document.querySelector('h1').textContent));
  return tab;
}
const bedside = { role: 'Treating clinician', purpose: 'Treatment', patient: marisol, encounter: /^Crisis stabilization/ };

// --- in the browser ---

let tab;
await test('a public app in the browser: authorize and ready, across origins', async () => {
  tab = await open('/start', bedside);
  equal(await heading(tab), 'The app is open', await tab.evaluate(() => window.failed));
});
await test('patient.read, encounter.read, user.read', async () => {
  const read = await tab.evaluate(async () => ({
    patient: await client.patient.read(), encounter: await client.encounter.read(), user: await client.user.read(), fhirUser: client.user.fhirUser, id: client.patient.id,
  }));
  equal(read.patient.id, read.id, 'patient');
  equal(read.patient.name[0].family, 'Quintana', 'family');
  equal(read.encounter.resourceType, 'Encounter', 'encounter');
  equal(`Practitioner/${read.user.id}`, read.fhirUser, 'fhirUser');
});
await test('requests: all pages, and references resolved on the way', async () => {
  const found = await tab.evaluate(() => client.request(`Encounter?patient=${client.patient.id}&_count=1`, { pageLimit: 0, flat: true }));
  expect(found.length > 2 && new Set(found.map((e) => e.id)).size === found.length, `${found.length} encounters`);
  const patient = await tab.evaluate(() => client.patient.request('Encounter'));
  equal(patient.resourceType, 'Bundle', 'patient.request');
});
await test('refresh of a public app, without client_id as fhirclient sends it', async () => {
  const [before, after, old] = await tab.evaluate(async () => {
    const was = { ...client.state.tokenResponse };
    await client.refresh();
    return [was, client.state.tokenResponse, was.refresh_token];
  });
  expect(after.access_token !== before.access_token && after.refresh_token && after.refresh_token !== old, 'nothing is new');
  equal(after.patient, before.patient, 'patient');
  equal((await tab.evaluate(() => client.patient.read())).id, before.patient, 'read with the new token');
});
await test('a token that is about to expire makes it refresh by itself', async () => {
  const [id, renewed] = await tab.evaluate(async () => {
    const was = client.state.tokenResponse.access_token;
    client.state.expiresAt = 1; // it looks at the time alone: a 401 is an error for the app
    return [(await client.request(`Patient/${client.patient.id}`)).id, client.state.tokenResponse.access_token !== was];
  });
  equal(id, await tab.evaluate(() => client.patient.id), 'patient');
  equal(renewed, true, 'a new token');
});
await test('a page of another origin gets nothing', async () => {
  const context = await browser.newContext();
  const foreign = await context.newPage();
  await foreign.goto(`${set.OWN.replace('127.0.0.1', 'localhost')}/callback`);
  const token = await tab.evaluate(() => client.state.tokenResponse.access_token);
  const read = (p, t) => p.evaluate(([url, bearer]) => fetch(url, { headers: { Authorization: `Bearer ${bearer}` } }).then((r) => r.status, () => 'blocked'), [`${base}/Patient`, t]);
  equal(await read(foreign, token), 'blocked', 'from an origin that is not registered');
  equal(await read(tab, token), 200, 'from the app');
  await context.close();
});
await test('revocation from the browser, and then the app is out', async () => {
  const { revocation_endpoint: endpoint } = await (await fetch(`${base}/.well-known/smart-configuration`)).json();
  expect(endpoint, 'no revocation_endpoint');
  const status = await tab.evaluate(async (url) => (await fetch(url, { method: 'POST', body: new URLSearchParams({ token: client.state.tokenResponse.refresh_token, client_id: 'own-app' }) })).status, endpoint);
  equal(status, 200, 'status');
  const error = await tab.evaluate(() => client.patient.read().then(() => 'read', (e) => String(e.message)));
  expect(error !== 'read', 'the patient can still be read');
});
await test('launched by the EHR: patient, encounter and need_patient_banner come with it', async () => {
  const token = await clientToken(set, 'https://handoff-health.github.io/fhir/scope/launch system/Patient.rs system/Encounter.rs');
  const ask = async (path) => (await fetch(`${base}/${path}`, { headers: { Authorization: `Bearer ${token}` } })).json();
  const patient = (await ask('Patient?family=Quintana&birthdate=1991-06-14')).entry.map((e) => e.resource).find((r) => r.identifier.some((i) => i.value === 'LK2041')).id;
  const encounter = (await ask(`Encounter?patient=${patient}`)).entry[0].resource.id;
  const registered = await fetch(`${origin}/oauth/launch`, {
    method: 'POST', headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }, body: JSON.stringify({ client_id: 'own-app', patient, encounter, need_patient_banner: true }),
  });
  const { launch_url: url } = await registered.json();
  expect(url.startsWith(`${set.OWN}/launch?`), url);
  tab = await open(url.slice(set.OWN.length), { role: bedside.role, purpose: bedside.purpose });
  equal(await heading(tab), 'The app is open', await tab.evaluate(() => window.failed));
  const got = await tab.evaluate(() => ({ ...client.state.tokenResponse }));
  equal(got.patient, patient, 'patient');
  equal(got.encounter, encounter, 'encounter');
  equal(got.need_patient_banner, true, 'need_patient_banner');
  await tab.evaluate(() => client.refresh()); // online_access: while the person is signed in
  equal((await tab.evaluate(() => client.patient.read())).id, patient, 'read');
});

// --- on a server ---

await test('an app with a key on a server: authorize, ready, read', async () => {
  const opened = await open('/server', { patient: marisol });
  equal(await heading(opened), 'The app is open', 'heading');
  equal((await onServer.patient.read()).name[0].family, 'Quintana', 'family');
  expect(onServer.user.fhirUser.startsWith('Practitioner/'), onServer.user.fhirUser);
});
await test('refreshing with a key is beyond fhirclient: it sends no assertion, and is refused', async () => {
  expect(onServer.state.tokenResponse.refresh_token, 'no refresh token');
  const error = await fails(onServer.refresh(), 'a refresh without authentication');
  expect(/invalid_client/.test(error.message), error.message);
});

await browser.close();
server.close();
done();
