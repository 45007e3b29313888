// What the scripts share: one line of TAP for each check, the settings, and the
// keys that a walk needs. README.md has the variables.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { importJWK } from 'jose';

let number = 0;
let failures = 0;

/** Runs one check and prints its line; a check that throws has failed. */
export async function test(name, body) {
  number += 1;
  try {
    const value = await body();
    console.log(`ok ${number} - ${name}`);
    return value;
  } catch (error) {
    failures += 1;
    const cause = error.cause ? `\n${String(error.cause.message ?? JSON.stringify(error.cause))}` : '';
    console.log(`not ok ${number} - ${name}\n  # ${`${error.stack ?? error}${cause}`.replaceAll('\n', '\n  # ')}`);
    return undefined;
  }
}

/** Prints the plan and ends the process: 1 if a check failed or none was made. */
export function done() {
  console.log(`1..${number}\n# ${number - failures} passed, ${failures} failed`);
  process.exit(failures > 0 || number === 0 ? 1 : 0);
}

export function expect(condition, message) {
  if (!condition) throw new Error(message);
}
export function equal(got, want, what) {
  expect(Object.is(got, want), `${what}: got ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
}

/** Wants a promise to fail; returns the error for a closer look. */
export async function fails(promise, what) {
  let error;
  try {
    await promise;
  } catch (e) {
    error = e;
  }
  expect(error, `${what} went through`);
  return error;
}

/** Returns the variables of these names, and ends the process if one is absent. */
export function settings(...names) {
  const absent = names.filter((name) => !process.env[name]);
  if (absent.length > 0) {
    console.error(`set ${absent.join(', ')}; see README.md`);
    process.exit(2);
  }
  return Object.fromEntries(names.map((name) => [name, process.env[name]]));
}

/** Reads a private key as `handoff token keygen` writes it. */
export async function privateKey(file) {
  const jwk = JSON.parse(await readFile(file, 'utf8'));
  return { jwk, alg: jwk.alg, kid: jwk.kid, key: await importJWK(jwk, jwk.alg) };
}

/** Decodes the claims of a JWT. It checks nothing: that is the library's part. */
export function claims(jwt) {
  return JSON.parse(Buffer.from(jwt.split('.')[1], 'base64url').toString('utf8'));
}

/** Listens at the origin of the app. answer gives the body of a path, or undefined, or answers itself and gives null. */
export async function serveApp(origin, answer) {
  const server = createServer(async (request, response) => {
    try {
      const page = await answer(new URL(request.url, origin), request, response);
      if (page === null) return;
      response.writeHead(page === undefined ? 404 : 200, { 'Content-Type': page?.type ?? 'text/html; charset=utf-8' });
      response.end(page?.body ?? page ?? 'not found');
    } catch (error) {
      response.writeHead(500).end(String(error.stack));
    }
  });
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(Number(new URL(origin).port), new URL(origin).hostname, resolve);
  });
  return server;
}

/** The page at which an app takes the answer of the authorization server. */
export const plainApp = (url) => (url.pathname === '/callback'
  ? '<!DOCTYPE html><html lang="en"><title>The app</title><h1>The app is back</h1></html>' : undefined);

/** Whom every script asks about, as the demo knows her. */
export const marisol = { family: 'Quintana', birth: '1991-06-14', pick: /^Marisol Elena Quintana/ };
