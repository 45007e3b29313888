// The launch in headless Chromium, by keyboard, as people go through it: with and
// without JavaScript, at 320 px, and with the checks of accessibility on each page.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { authorizationRequest, redeem } from './app-token.mjs';
import { claims, done, equal, expect, marisol, plainApp, serveApp, settings, test } from './harness.mjs';
import { clientToken } from './backend-token.mjs';
import { album, fill, heading, launchBrowser, press, signIn, walk } from './walk.mjs';

const set = settings('BASE', 'OWN', 'DEMO_APP', 'SHOTS', 'PERSON', 'POLICE', 'CLIENT_ID', 'CLIENT_JWK');
const base = set.BASE.replace(/\/+$/, '');
const origin = new URL(base).origin;
const [clinician, officer] = [JSON.parse(set.PERSON), JSON.parse(set.POLICE)];
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const shoot = await album(set.SHOTS);
const server = await serveApp(set.OWN, plainApp);
const browser = await launchBrowser();

// --- what holds on every page ---

/** Returns what is wrong with the page for somebody who cannot see it well, or not at all. */
function structure() {
  const faults = [];
  if (document.documentElement.lang !== 'en') faults.push('the page has no language');
  if (!document.title.trim()) faults.push('the page has no title');
  if (document.querySelectorAll('h1').length !== 1) faults.push(`${document.querySelectorAll('h1').length} first headings`);
  if (document.querySelectorAll('main').length !== 1) faults.push('there is not one main part');
  const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
  if (new Set(ids).size !== ids.length) faults.push('an id stands twice');
  for (const e of document.querySelectorAll('input:not([type=hidden]), select, textarea')) {
    if (![...(e.labels ?? [])].some((l) => l.innerText.trim())) faults.push(`no label: ${e.outerHTML}`);
  }
  for (const e of document.querySelectorAll('fieldset')) if (!e.querySelector(':scope > legend')?.innerText.trim()) faults.push('a fieldset without legend');
  for (const e of document.querySelectorAll('[aria-describedby], [aria-labelledby]')) {
    for (const id of `${e.getAttribute('aria-describedby') ?? ''} ${e.getAttribute('aria-labelledby') ?? ''}`.split(' ').filter(Boolean)) {
      if (!document.getElementById(id)) faults.push(`${e.id || e.tagName} refers to ${id}, which is not there`);
    }
  }
  for (const e of document.querySelectorAll('script, img, iframe, link[rel=stylesheet]')) faults.push(`the page has ${e.tagName}`);
  return faults;
}

/** Tabs through the page: each control is reached once and shows that it has the focus. */
async function focusVisible(page) {
  const faults = [];
  await page.evaluate(() => { document.activeElement?.blur(); window.getSelection()?.removeAllRanges(); });
  const wanted = await page.evaluate(() => {
    const groups = new Set();
    return [...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary')].filter((e) => {
      if (e.type !== 'radio') return true;
      const first = !groups.has(e.name);
      groups.add(e.name);
      return first;
    }).length;
  });
  const seen = new Set();
  for (let presses = 0; presses < wanted + 2; presses += 1) {
    await page.keyboard.press('Tab');
    const at = await page.evaluate(() => {
      const e = document.activeElement;
      if (!e || e === document.body) return null;
      const style = getComputedStyle(e);
      return { key: [...document.querySelectorAll('*')].indexOf(e), name: e.id || e.outerHTML.slice(0, 80), width: parseFloat(style.outlineWidth), style: style.outlineStyle };
    });
    if (!at || seen.has(at.key)) continue;
    seen.add(at.key);
    if (at.style === 'none' || at.width < 2) faults.push(`the focus cannot be seen on ${at.name}`);
  }
  if (seen.size < wanted) faults.push(`${seen.size} of ${wanted} controls are reached with Tab`);
  return faults;
}

/** Nothing has to be scrolled sideways at a width of 320 px (WCAG 2.2, 1.4.10). */
async function reflow(page) {
  const size = page.viewportSize();
  await page.setViewportSize({ width: 320, height: 640 });
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  await page.setViewportSize(size);
  return width > 320 ? [`at 320 px the page is ${width} px wide`] : [];
}

async function withAxe(page) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
  expect(found.passes.length > 5, `axe made ${found.passes.length} checks only`);
  return found.violations.map((v) => `axe ${v.id}: ${v.help}: ${v.nodes.map((n) => n.html).join(' ').slice(0, 300)}`);
}

const looked = new Map();
/** Takes the picture of a page and notes what is wrong with it. */
function observer(prefix, checks) {
  return async (page, name) => {
    await shoot(page, `${prefix}-${name}`);
    const faults = [];
    for (const check of checks) faults.push(...(await check(page)));
    looked.set(`${prefix}-${name}`, faults);
  };
}
const always = [(page) => page.evaluate(structure), reflow];

// --- requests of the apps ---

const request = (client, scope, more) => authorizationRequest({ BASE: base, OWN: set.OWN }, client, scope, more);

/** A browser that knows nothing, for one check. */
async function fresh(body, { width = 1280, ...more } = {}) {
  const context = await browser.newContext({ viewport: { width, height: 800 }, locale: 'en-US', ...more });
  context.setDefaultTimeout(15_000);
  try {
    return await body(await context.newPage(), context);
  } finally {
    await context.close();
  }
}
const get = (path, token) => fetch(`${base}/${path}`, { headers: { Authorization: `Bearer ${token}`, Accept: 'application/fhir+json' } });

// --- walks ---

const scopes = 'launch/patient launch/encounter openid fhirUser offline_access patient/Patient.rs patient/Encounter.rs patient/Condition.rs user/Practitioner.r';
const bedside = { role: 'Treating clinician', purpose: 'Treatment', patient: marisol, encounter: /^Crisis stabilization/ };
let patient;
await test('a clinician goes from the app to the patient by keyboard, and leaves something out', () => fresh(async (page) => {
  const asked = await request('own-app', scopes);
  const look = observer('wide', [...always, focusVisible, withAxe]);
  const landed = await walk(page, asked.url, clinician, set.OWN, { ...bedside, without: [/Condition/, /Stay connected/] }, look);
  const tokens = await redeem(asked, landed);
  patient = tokens.patient;
  expect(patient && tokens.encounter, 'no patient or no encounter');
  expect(!/Condition|offline_access/.test(tokens.scope) && /patient\/Patient\.rs/.test(tokens.scope), tokens.scope);
  equal(tokens.refresh_token, undefined, 'refresh token');
  equal((await get(`Patient/${patient}`, tokens.access_token)).status, 200, 'the patient');
  equal((await get(`Encounter/${tokens.encounter}`, tokens.access_token)).status, 200, 'the encounter');
  equal((await get('Condition', tokens.access_token)).status, 403, 'what was left out');
  expect(claims(tokens.id_token).fhirUser?.startsWith(`${base}/Practitioner/`), 'fhirUser');
  expect(/pwd/.test(JSON.stringify(claims(tokens.id_token).amr)), 'amr');
}));

await test('who denies sends the app an error, and nothing of the patient', () => fresh(async (page) => {
  const asked = await request('own-app', scopes);
  const landed = await walk(page, asked.url, clinician, set.OWN, { ...bedside, deny: true });
  equal(landed.searchParams.get('error'), 'access_denied', 'error');
  equal(landed.searchParams.get('state'), asked.state, 'state');
  equal(landed.searchParams.get('code'), null, 'code');
  expect(!landed.href.includes(patient), 'the address names the patient');
}));

await test('all of it works without JavaScript, at 320 px, and with an encounter skipped', () => fresh(async (page) => {
  const asked = await request('own-app', scopes);
  // Scripts of the page are off; what this script evaluates is not the page's.
  const landed = await walk(page, asked.url, clinician, set.OWN, { ...bedside, encounter: 'Go on without an encounter' }, observer('narrow', [(p) => p.evaluate(structure)]));
  const tokens = await redeem(asked, landed);
  equal(tokens.patient, patient, 'patient');
  equal(tokens.encounter, undefined, 'encounter');
  expect(tokens.refresh_token, 'no refresh token');
}, { width: 320, javaScriptEnabled: false }));

await test('a launch from the EHR brings its patient and encounter, and works once', () => fresh(async (page) => {
  const token = await clientToken(set, 'https://handoff-health.github.io/fhir/scope/launch system/Patient.rs system/Encounter.rs');
  const visits = await (await get(`Encounter?patient=${patient}`, token)).json();
  const encounter = visits.entry[0].resource.id;
  const registered = await fetch(`${origin}/oauth/launch`, {
    method: 'POST', headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ client_id: 'own-app', patient, encounter, need_patient_banner: true, intent: 'bedside' }),
  });
  equal(registered.status, 201, await registered.clone().text());
  const { launch, launch_url: opened } = await registered.json();
  equal(new URL(opened).searchParams.get('iss'), base, 'iss');
  equal(new URL(opened).searchParams.get('launch'), launch, 'launch in the URL');
  const asked = await request('own-app', 'launch openid fhirUser online_access patient/Patient.rs patient/Encounter.rs', { launch });
  const landed = await walk(page, asked.url, clinician, set.OWN, { role: bedside.role, purpose: bedside.purpose }, observer('ehr', [...always, withAxe]));
  const tokens = await redeem(asked, landed);
  equal(tokens.patient, patient, 'patient');
  equal(tokens.encounter, encounter, 'encounter');
  equal(tokens.need_patient_banner, true, 'need_patient_banner');
  equal(tokens.intent, 'bedside', 'intent');
  expect(tokens.refresh_token, 'online_access of a launch gives no refresh token');
  const again = await request('own-app', 'launch patient/Patient.rs', { launch });
  await page.goto(again.url);
  if (await heading(page) !== 'The app is back') {
    await page.getByRole('radio', { name: bedside.purpose }).check();
    await Promise.all([page.waitForURL((url) => url.origin === set.OWN), page.getByRole('button', { name: 'Continue' }).click()]);
  }
  equal(new URL(page.url()).searchParams.get('error'), 'access_denied', 'the second use');
}));

await test('an officer opens the police\'s app, searches for one person, and sees the agency\'s own record', () => fresh(async (page) => {
  await page.goto(`${set.DEMO_APP}/riverton-app/open`);
  const look = observer('police', [...always, withAxe]);
  const narrow = { family: 'Quintana', given: 'Marisol', birth: '1991-06-14', pick: /R100001/ };
  await walk(page, page.url(), officer, set.DEMO_APP, { patient: narrow, encounter: 'Go on without an encounter' }, look);
  equal(await heading(page), 'riverton-app is open', 'heading');
  expect(/200 OK: QUINTANA/.test(await page.locator('#patient').innerText()), await page.locator('#patient').innerText());
  await shoot(page, 'police-app');
}));

await test('the EHR opens the clinic\'s app for a patient, and who denies is let go', () => fresh(async (page) => {
  const token = await clientToken(set, 'https://handoff-health.github.io/fhir/scope/launch system/Patient.rs');
  const registered = await fetch(`${origin}/oauth/launch`, {
    method: 'POST', headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }, body: JSON.stringify({ client_id: 'lakeside-app', patient }),
  });
  const { launch_url: opened } = await registered.json();
  await page.goto(opened);
  await walk(page, page.url(), clinician, set.DEMO_APP, { deny: true });
  equal(await heading(page), 'The app was not let in', 'heading');
}));

// --- what people meet when something is wrong ---

const trouble = observer('wrong', [...always, withAxe]);
await test('a wrong password says what to do, and keeps the focus visible', () => fresh(async (page) => {
  await page.goto((await request('own-app', scopes)).url);
  await signIn(page, { ...clinician, password: 'not-the-password' });
  equal(await heading(page), 'Sign in', 'heading');
  expect(await page.getByRole('alert').isVisible() && (await page.title()).startsWith('Error:'), 'nothing says that it failed');
  await trouble(page, 'password');
  await focusVisible(page).then((faults) => expect(faults.length === 0, faults.join('; ')));
}));
await test('an empty search and one that finds nobody say so', () => fresh(async (page) => {
  await page.goto(`${set.DEMO_APP}/riverton-app/open`);
  await signIn(page, officer);
  equal((await press(page, 'Search')).status(), 422, 'status');
  await trouble(page, 'search-empty');
  for (const [label, text] of [['Family name', 'Nobody'], ['Given name', 'At All'], ['Date of birth', '1900-01-01']]) await fill(page, label, text);
  await press(page, 'Search');
  expect(await page.getByRole('alert').isVisible(), 'nothing says that nobody was found');
  await trouble(page, 'search-nobody');
}));
await test('an officer cannot use the clinic\'s app', () => fresh(async (page) => {
  await page.goto(`${set.DEMO_APP}/riverton-app/open`);
  await signIn(page, officer);
  await page.goto((await request('own-app', scopes)).url);
  equal(await heading(page), 'Sign in', 'heading');
  expect(!/Riverton/.test(await page.locator('main').innerText()), 'the police\'s sign-in is offered');
}));
await test('a request that cannot be trusted stays here: wrong redirect_uri, unknown app', () => fresh(async (page) => {
  for (const [name, more] of [['redirect', { redirect_uri: 'https://evil.example/' }], ['unknown', { client_id: 'nobody' }]]) {
    const response = await page.goto((await request('own-app', scopes, more)).url);
    equal(response.status(), 400, name);
    equal(new URL(page.url()).origin, origin, 'origin');
    await trouble(page, name);
  }
}));
await test('the page of another browser is refused', () => fresh(async (page) => {
  await page.goto((await request('own-app', scopes)).url);
  const at = page.url();
  await fresh(async (other) => {
    equal((await other.goto(at)).status(), 400, 'status');
    await trouble(other, 'another-browser');
  });
}));
await test('signing out ends what is not for offline use', () => fresh(async (page) => {
  const asked = await request('own-app', 'launch/patient online_access openid patient/Patient.rs');
  const tokens = await redeem(asked, await walk(page, asked.url, clinician, set.OWN, { ...bedside, encounter: undefined }));
  equal((await get(`Patient/${tokens.patient}`, tokens.access_token)).status, 200, 'before');
  await page.goto(`${origin}/oauth/signout`);
  await trouble(page, 'sign-out');
  await press(page, 'Sign out');
  await trouble(page, 'signed-out');
  equal((await get(`Patient/${tokens.patient}`, tokens.access_token)).status, 401, 'after');
}));

for (const [name, faults] of looked) {
  await test(`accessible: ${name}`, () => expect(faults.length === 0, faults.join('\n')));
}
await test('enough pages were looked at', () => expect(looked.size >= 25, `${looked.size} pages`));
await browser.close();
server.close();
console.log(`# screenshots: ${set.SHOTS}`);
done();
