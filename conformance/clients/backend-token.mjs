// A token of a backend service, as SMART Backend Services has it: aud is the token URL.
import { randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import { equal, privateKey } from './harness.mjs';

export async function clientToken({ BASE, CLIENT_ID, CLIENT_JWK }, scope) {
  const { key, alg, kid } = await privateKey(CLIENT_JWK);
  const { token_endpoint: endpoint } = await (await fetch(`${BASE}/.well-known/smart-configuration`)).json();
  const assertion = await new SignJWT({ iss: CLIENT_ID, sub: CLIENT_ID, aud: endpoint, jti: randomUUID() })
    .setProtectedHeader({ alg, kid, typ: 'JWT' }).setExpirationTime('4m').sign(key);
  const answer = await fetch(endpoint, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'client_credentials', scope, client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer', client_assertion: assertion }),
  });
  const body = await answer.json();
  equal(answer.status, 200, `token for ${CLIENT_ID}: ${JSON.stringify(body)}`);
  return body.access_token;
}
