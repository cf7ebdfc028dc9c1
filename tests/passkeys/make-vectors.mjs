// Makes ../vectors/passkey/chromium.json: passkeys and assertions of the authenticator that Chromium brings for tests
// (its virtual authenticator, spoken to by the DevTools protocol). The core's tests read the file; run this by hand to
// make it anew:
//
//     npm install --no-save playwright-core && node make-vectors.mjs [path of chromium]
//
// Pages are answered here by interception, so their origins are real https origins and nothing leaves the machine.
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

const executablePath = process.argv[2] ?? '/usr/bin/chromium';
const RP_ID = 'example.com';
const LINK = 'https://link.example.com';
const SIBLING = 'https://evil.example.com'; // may use the same passkey, says the browser; the allow-list says no
const STRANGER = 'https://evil.test';
const th2 = createHash('sha256').update('pairlight passkey vectors').digest();
const challengeOf = (th) =>
  createHash('sha256').update(Buffer.concat([Buffer.from('pairlight/v1/webauthn\0'), th])).digest();
const hex = (bytes) => Buffer.from(bytes).toString('hex');

const args = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const browser = await chromium.launch({ executablePath, args });
const version = browser.version();

async function withAuthenticator(options, work) {
  const context = await browser.newContext();
  await context.route('**/*', (route) => {
    const html = route.request().url() === `${STRANGER}/`
      ? `<!doctype html><iframe allow="publickey-credentials-get *" src="${LINK}/"></iframe>`
      : '<!doctype html><title>link</title>';
    return route.fulfill({ contentType: 'text/html', body: html });
  });
  const page = await context.newPage();
  const devtools = await context.newCDPSession(page);
  await devtools.send('WebAuthn.enable');
  const { authenticatorId } = await devtools.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true,
      isUserVerified: true, automaticPresenceSimulation: true, ...options,
    },
  });
  try {
    return await work(page, devtools, authenticatorId);
  } finally {
    await context.close();
  }
}

// Runs in the page.
async function create({ rpId, algorithm, challenge }) {
  const credential = await navigator.credentials.create({
    publicKey: {
      rp: { id: rpId, name: 'Example' },
      user: { id: new Uint8Array(16), name: 'kim', displayName: 'Kim' },
      challenge: new Uint8Array(challenge),
      pubKeyCredParams: [{ type: 'public-key', alg: algorithm }],
      authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
    },
  });
  return {
    id: [...new Uint8Array(credential.rawId)],
    authenticatorData: [...new Uint8Array(credential.response.getAuthenticatorData())],
  };
}

// Runs in the page.
async function assert({ rpId, id, challenge, userVerification }) {
  const credential = await navigator.credentials.get({
    publicKey: {
      rpId, challenge: new Uint8Array(challenge), userVerification,
      allowCredentials: [{ type: 'public-key', id: new Uint8Array(id) }],
    },
  });
  return {
    authenticatorData: [...new Uint8Array(credential.response.authenticatorData)],
    clientData: [...new Uint8Array(credential.response.clientDataJSON)],
    signature: [...new Uint8Array(credential.response.signature)],
  };
}

// The COSE key stands at the end of the attested data: rpIdHash 32, flags 1, counter 4, aaguid 16, length 2, id, key.
function coseKey(authenticatorData) {
  const data = Buffer.from(authenticatorData);
  return data.subarray(55 + data.readUInt16BE(53));
}

const passkeys = [];
const assertions = [];

async function record(algorithm, name, options, cases) {
  await withAuthenticator(options, async (page, devtools, authenticatorId) => {
    await page.goto(`${LINK}/`);
    const made = await page.evaluate(create, { rpId: RP_ID, algorithm, challenge: [...challengeOf(th2)] });
    passkeys.push({ name, algorithm, credential: hex(made.id), public_key: hex(coseKey(made.authenticatorData)) });
    for (const { expect, what, origin = LINK, embedded = false, challenge = th2, verified = true } of cases) {
      await devtools.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: verified });
      await page.goto(embedded ? `${STRANGER}/` : `${origin}/`);
      const frame = embedded ? page.frames().find((frame) => frame.url().startsWith(LINK)) : page.mainFrame();
      await frame.waitForLoadState();
      const signed = await frame.evaluate(assert, {
        rpId: RP_ID, id: made.id, challenge: [...challengeOf(challenge)],
        userVerification: verified ? 'required' : 'discouraged',
      });
      assertions.push({
        passkey: name, what, expect, authenticator_data: hex(signed.authenticatorData),
        client_data: hex(signed.clientData), signature: hex(signed.signature),
      });
    }
  });
}

const everyCase = [
  { expect: 'ok', what: 'as it should be' },
  { expect: 'WrongChallenge', what: 'the challenge of another link', challenge: Buffer.alloc(32, 7) },
  { expect: 'ForeignOrigin', what: 'a sibling page of the same relying party', origin: SIBLING },
  { expect: 'CrossOrigin', what: 'the right page, embedded in a stranger’s', embedded: true },
  { expect: 'NotVerified', what: 'nobody unlocked the authenticator', verified: false },
];
await record(-7, 'es256', {}, everyCase);
await record(-8, 'eddsa', {}, everyCase);
await record(-7, 'backed-up', { defaultBackupEligibility: true, defaultBackupState: true },
  [{ expect: 'ok', what: 'a passkey that is backed up elsewhere' }]);
await browser.close();

const file = new URL('../vectors/passkey/chromium.json', import.meta.url);
writeFileSync(file, `${JSON.stringify({
  about: 'WebAuthn assertions of a virtual authenticator; made by tests/passkeys/make-vectors.mjs. Hexadecimal.',
  browser: `Chromium ${version}`, rp_id: RP_ID, origin: LINK, th2: hex(th2), passkeys, assertions,
}, null, 2)}\n`);
console.log(`${assertions.length} assertions of ${passkeys.length} passkeys by Chromium ${version}`);
