// The authorization code flow of a public app, by hand: what the scripts of client
// libraries that bring none start from.
import { calculatePKCECodeChallenge, randomPKCECodeVerifier, randomState } from 'openid-client';
import { equal } from './harness.mjs';

/** Makes an authorization request of an app: its URL, and what the exchange needs. */
export async function authorizationRequest({ BASE, OWN }, client, scope, more = {}) {
  const [verifier, state] = [randomPKCECodeVerifier(), randomState()];
  const { authorization_endpoint: endpoint, token_endpoint: token } = await (await fetch(`${BASE}/.well-known/smart-configuration`)).json();
  const url = new URL(endpoint);
  url.search = new URLSearchParams({
    response_type: 'code', client_id: client, redirect_uri: `${OWN}/callback`, scope, state, aud: BASE,
    code_challenge: await calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', ...more,
  });
  return { url: url.href, token, verifier, state, client, redirect: `${OWN}/callback` };
}

/** Exchanges the code with which the browser came back. */
export async function redeem(asked, landed) {
  equal(landed.origin + landed.pathname, asked.redirect, 'where the browser came back');
  equal(landed.searchParams.get('error_description'), null, 'error');
  equal(landed.searchParams.get('state'), asked.state, 'state');
  const answer = await fetch(asked.token, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code', code: landed.searchParams.get('code'), redirect_uri: asked.redirect, client_id: asked.client, code_verifier: asked.verifier,
    }),
  });
  const body = await answer.json();
  equal(answer.status, 200, `token answer ${JSON.stringify(body)}`);
  return body;
}
