// A small app on the package alone: links, tells what happens, and reads its own code from a picture of it.

import { CodeScanner, PairlightDevice } from "@pairlight/web";

const say = (words) => { document.getElementById("said").textContent += `${words}\n`; };

/** What the scanner says about a code with four modules of margin, drawn into a canvas. */
async function readBack(size, modules) {
  const canvas = new OffscreenCanvas((size + 8) * 6, (size + 8) * 6);
  const ink = canvas.getContext("2d");
  ink.fillStyle = "#fff";
  ink.fillRect(0, 0, canvas.width, canvas.height);
  ink.fillStyle = "#000";
  for (let at = 0; at < modules.length; at++) if (modules[at] === "1") ink.fillRect(((at % size) + 4) * 6, (Math.floor(at / size) + 4) * 6, 6, 6);
  const scanner = await CodeScanner.open({ thorough: true });
  const read = async (picture) => {
    const reported = new Promise((done) => { scanner.onReport = done; });
    scanner.offer(picture);
    const { codes } = await reported;
    return codes.map((code) => `${code.meaning.kind} ${code.text} ${code.bytes.length === code.text.length}`).join();
  };
  say(`frame ${await read(new VideoFrame(canvas, { timestamp: 0 }))}`);
  say(`pixels ${await read(ink.getImageData(0, 0, canvas.width, canvas.height))}`);
  say(`bitmap ${await read(await createImageBitmap(canvas))}`);
  scanner.close();
}

const device = await PairlightDevice.open({ relay: new URLSearchParams(location.search).get("relay") });
let isRead = false;
device.onLink = (event) => {
  say(`${event.type} ${event.text ?? event.reason ?? ""}`);
  if (event.type !== "code" || isRead) return;
  isRead = true;
  readBack(event.size, event.modules).catch((error) => say(`scanner: ${error.name} ${error.message}`));
};
document.getElementById("digits").addEventListener("input", ({ target }) => {
  if (target.value.length === 6) void device.enterCheckCode(target.value);
});
await device.link("An app", "Linux", "Chromium");
