// The pages on the way from an app's request to its answer, as a person goes
// through them: by their labels and by keyboard alone.
import { chromium } from 'playwright-core';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from './harness.mjs';

/** Starts Debian's Chromium. As root it has no sandbox: it opens this machine's pages only. */
export async function launchBrowser() {
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  return chromium.launch({ executablePath, args: [...args, '--disable-dev-shm-usage'] });
}

/** A folder of numbered pictures. */
export async function album(folder) {
  await mkdir(folder, { recursive: true });
  let number = 0;
  return async (page, name) => {
    number += 1;
    await page.screenshot({ path: join(folder, `${String(number).padStart(2, '0')}-${name}.png`), fullPage: true });
  };
}

/** Presses Tab until the control with this label has the focus. */
export async function tabTo(page, role, name) {
  const target = page.getByRole(role, { name });
  expect(await target.count() === 1, `${await target.count()} controls are ${role} "${name}" on "${await page.title()}"`);
  for (let presses = 0; presses < 60; presses += 1) {
    if (await target.evaluate((element) => element === document.activeElement)) return target;
    await page.keyboard.press('Tab');
  }
  throw new Error(`60 times Tab do not reach ${role} "${name}"`);
}

/** Types into the field with this label. */
export async function fill(page, label, text) {
  await tabTo(page, 'textbox', label);
  await page.keyboard.press('Control+A');
  await page.keyboard.type(text);
}

/** Reaches a button by keyboard and presses it; resolves when the next page is there. */
export async function press(page, name) {
  await tabTo(page, 'button', name);
  const [response] = await Promise.all([page.waitForNavigation({ waitUntil: 'load' }), page.keyboard.press('Enter')]);
  return response;
}

/** Chooses a radio button by keyboard: Tab into the group, then the arrows. */
export async function choose(page, name) {
  const target = page.getByRole('radio', { name });
  expect(await target.count() === 1, `${await target.count()} choices are "${name}" on "${await page.title()}"`);
  const group = await target.getAttribute('name');
  for (let presses = 0; presses < 60; presses += 1) {
    const at = await page.evaluate(() => [document.activeElement?.type, document.activeElement?.name]);
    if (at[0] === 'radio' && at[1] === group) break;
    await page.keyboard.press('Tab');
  }
  for (let presses = 0; presses < 60; presses += 1) {
    if (await target.evaluate((element) => element === document.activeElement)) {
      await page.keyboard.press('Space');
      expect(await target.isChecked(), `"${name}" cannot be chosen by keyboard`);
      return;
    }
    await page.keyboard.press('ArrowDown');
  }
  throw new Error(`the arrow keys do not reach "${name}"`);
}

/** Signs in as a user of the demo. */
export async function signIn(page, user, look = async () => {}) {
  await page.getByRole('heading', { name: 'Sign in', level: 1 }).waitFor();
  await look(page, 'sign-in');
  await fill(page, 'User name', user.name);
  await tabTo(page, 'textbox', 'Password');
  await page.keyboard.type(user.password);
  await fill(page, 'Code', user.code);
  await press(page, /sign in$/);
}

/**
 * Goes from the app's request to the app, and returns the URL to which the browser
 * was sent. steps: purpose (a text, or undefined where there is no choice),
 * patient ({family, given, birth, pick}), encounter (a text), without (texts of scopes to
 * leave out), deny.
 */
export async function walk(page, authorizationURL, user, app, steps, look = async () => {}) {
  await page.goto(authorizationURL);
  if (await heading(page) === 'Sign in') await signIn(page, user, look);
  if (steps.purpose) {
    await look(page, 'role');
    await choose(page, steps.role);
    await choose(page, steps.purpose);
    await press(page, 'Continue');
  }
  if (steps.patient) {
    await look(page, 'patient');
    await fill(page, 'Family name', steps.patient.family);
    if (steps.patient.given) await fill(page, 'Given name', steps.patient.given);
    await fill(page, 'Date of birth', steps.patient.birth);
    await press(page, 'Search');
    await look(page, 'patient-found');
    await choose(page, steps.patient.pick);
    await press(page, 'Continue with this patient');
  }
  if (steps.encounter) {
    await look(page, 'encounter');
    await choose(page, steps.encounter);
    await press(page, 'Continue');
  }
  await look(page, 'decision');
  for (const text of steps.without ?? []) {
    const box = await tabTo(page, 'checkbox', text);
    await page.keyboard.press('Space');
    expect(!(await box.isChecked()), `"${text}" cannot be left out by keyboard`);
  }
  await tabTo(page, 'button', steps.deny ? 'Deny' : 'Allow');
  await Promise.all([page.waitForURL((url) => url.origin === app), page.keyboard.press('Enter')]);
  return new URL(page.url());
}

export async function heading(page) {
  return (await page.locator('h1').first().innerText()).trim();
}
