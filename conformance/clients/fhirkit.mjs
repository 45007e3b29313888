// fhir-kit-client with the token of a launch: discovery in both ways, search, read,
// paging, and what a person's token does not open.
import { Client } from 'fhir-kit-client';
import { authorizationRequest, redeem } from './app-token.mjs';
import { done, equal, expect, fails, marisol, plainApp, serveApp, settings, test } from './harness.mjs';
import { launchBrowser, walk } from './walk.mjs';

const set = settings('BASE', 'OWN', 'PERSON');
const base = set.BASE.replace(/\/+$/, '');
const server = await serveApp(set.OWN, plainApp);
const browser = await launchBrowser();
const stated = await (await fetch(`${base}/.well-known/smart-configuration`)).json();

await test('it finds the endpoints, whichever document answers first', async () => {
  for (let n = 0; n < 10; n += 1) { // it races three documents
    const found = await new Client({ baseUrl: base }).smartAuthMetadata();
    equal(found.authorizeUrl?.href, stated.authorization_endpoint, 'authorize');
    equal(found.tokenUrl?.href, stated.token_endpoint, 'token');
  }
});
await test('the capability statement has them in oauth-uris', async () => {
  const statement = await new Client({ baseUrl: base }).capabilityStatement();
  const uris = statement.rest[0].security.extension.find((e) => e.url === 'http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris').extension;
  const uri = (name) => uris.find((e) => e.url === name)?.valueUri;
  equal(uri('authorize'), stated.authorization_endpoint, 'authorize');
  equal(uri('token'), stated.token_endpoint, 'token');
  expect(stated.introspection_endpoint && stated.revocation_endpoint, 'no introspection or revocation');
  equal(uri('introspect'), stated.introspection_endpoint, 'introspect');
  equal(uri('revoke'), stated.revocation_endpoint, 'revoke');
  expect(statement.rest[0].security.service[0].coding.some((c) => c.code === 'SMART-on-FHIR'), 'no SMART-on-FHIR');
});

const tokens = await test('a person lets the app in', async () => {
  const asked = await authorizationRequest({ BASE: base, OWN: set.OWN }, 'own-app', 'launch/patient patient/Patient.rs patient/Encounter.rs user/Practitioner.r');
  const context = await browser.newContext();
  context.setDefaultTimeout(15_000);
  const steps = { role: 'Treating clinician', purpose: 'Treatment', patient: marisol };
  return redeem(asked, await walk(await context.newPage(), asked.url, JSON.parse(set.PERSON), set.OWN, steps));
});
const client = new Client({ baseUrl: base, bearerToken: tokens.access_token });
const status = (error) => error.response?.status;

await test('read, and the error of a version that is not there', async () => {
  const patient = await client.read({ resourceType: 'Patient', id: tokens.patient });
  equal(patient.name[0].family, 'Quintana', 'family');
  equal(status(await fails(client.vread({ resourceType: 'Patient', id: tokens.patient, version: 'no-such' }), 'a version')), 404, 'status');
});
let visits;
await test('search in the compartment of the patient in context', async () => {
  const found = await client.search({ resourceType: 'Encounter', searchParams: { _count: 50 } });
  equal(found.type, 'searchset', 'type');
  visits = found.entry.map((e) => e.resource.id).sort();
  expect(visits.length > 2, `${visits.length} encounters`);
  const named = await client.search({ resourceType: 'Encounter', searchParams: { patient: `Patient/${tokens.patient}`, _count: 50 } });
  equal(named.entry.map((e) => e.resource.id).sort().join(), visits.join(), 'the same, asked by name');
});
await test('paging goes through all of them, each once', async () => {
  const seen = [];
  let pages = 0;
  for (let page = await client.search({ resourceType: 'Encounter', searchParams: { _count: 1 } }); page; page = await client.nextPage({ bundle: page })) {
    seen.push(...(page.entry ?? []).map((e) => e.resource.id));
    pages += 1;
    expect(pages < 50, 'there is no end to the pages');
  }
  equal(seen.sort().join(), visits.join(), 'encounters');
  expect(pages >= visits.length, `${pages} pages of one`);
});
await test('search by POST', async () => {
  const found = await client.resourceSearch({ resourceType: 'Encounter', searchParams: { _count: 50 }, options: { postSearch: true } });
  equal(found.entry.map((e) => e.resource.id).sort().join(), visits.join(), 'encounters');
});
await test('what was not granted is 403, what is somebody else\'s is 404', async () => {
  equal(status(await fails(client.search({ resourceType: 'Condition', searchParams: {} }), 'Condition')), 403, 'status');
  equal(status(await fails(client.search({ resourceType: 'Practitioner', searchParams: {} }), 'a search with r alone')), 403, 'status');
  equal(status(await fails(client.read({ resourceType: 'Patient', id: 'no-such-patient' }), 'another patient')), 404, 'status');
  equal(status(await fails(new Client({ baseUrl: base, bearerToken: 'x' }).read({ resourceType: 'Patient', id: tokens.patient }), 'no token')), 401, 'status');
});
await test('a page link works for its token alone', async () => {
  const first = await client.search({ resourceType: 'Encounter', searchParams: { _count: 1 } });
  equal(status(await fails(new Client({ baseUrl: base }).nextPage({ bundle: first }), 'without a token')), 401, 'status');
});

await browser.close();
server.close();
done();
