// The page as a scanner, in front of a film of the simulated camera.

import { accessible, assert, quiet } from "./checks.mjs";
import { packageFolder, until } from "./world.mjs";

const OFFERED = "[data-kind=pairing_offer]";

/** A browser whose camera plays a film over and over. */
const watching = (world, film, options = {}) => world.browser({
  ...options, args: ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", `--use-file-for-fake-video-capture=${film}`],
});

async function openCamera(page) {
  await page.click("button:has-text('Scan a code')");
  await page.waitForSelector("dialog.scan");
}

export const tests = {
  async the_camera_names_a_code_of_another_service_and_opens_nothing(world) {
    await world.startRelay();
    // First it is dark for a while, each time.
    const film = world.film("signal", "sgnl://linkdevice?uuid=Zm9v&pub_key=YmFy", { dark: 20, fps: 5 });
    const browser = await watching(world, film);
    const page = await world.open(browser);
    await world.code(page);
    await openCamera(page);
    await page.waitForSelector("[data-part=hint][aria-live=polite]:has-text('It is too dark')");
    await page.waitForSelector("[data-kind=other_service][data-danger=danger]");
    const said = await page.textContent("[data-part=found][aria-live=assertive]");
    assert(said.includes("Signal") && said.includes("Nothing was opened"), `it says ${said}`);
    await world.shot(page, "scan");
    await accessible(page, "scan");
    await until("the relay to have no code", async () => (await world.gauge("slots")) === 0);
    assert(browser.pages().filter((each) => each.url() !== "about:blank").length === 1, "a page was opened");
    assert(new URL(page.url()).pathname === "/", `the page went to ${page.url()}`);
    await page.click("dialog.scan button:has-text('Close')");
    await until("the camera to be off", async () => (await page.locator("video").count()) === 0);
    await world.code(page);
    quiet(page);
  },

  async the_camera_reads_an_offer_by_its_brightness_and_by_colours_and_gives_way_to_a_screen(world) {
    await world.startRelay();
    const phone = await world.startPhone();
    const offer = await world.text(await world.open(await world.browser()));
    const browser = await watching(world, world.film("offer", offer));
    let page = await world.open(browser);
    await world.code(page);
    // A video that has no frame yet when it is asked for its first one.
    await page.evaluate(() => {
      const Real = window.VideoFrame;
      window.VideoFrame = function (...given) {
        window.VideoFrame = Real;
        throw new DOMException("Invalid source state", "InvalidStateError");
      };
    });
    await openCamera(page);
    await page.waitForSelector(OFFERED);
    assert((await page.textContent(OFFERED)).includes("cannot let others in"), "it does not say what to do");
    // A browser without `VideoFrame` draws each frame and hands over its colours.
    await page.addInitScript("delete window.VideoFrame");
    await page.reload();
    await world.code(page);
    await openCamera(page);
    await page.waitForSelector(OFFERED);
    await page.keyboard.press("Escape");
    // Over the conversations; whatever takes their place takes the camera's, too.
    await world.join(page, phone);
    await openCamera(page);
    await page.waitForSelector(OFFERED);
    phone.type("revoke");
    await page.waitForSelector("text=This browser was removed");
    await until("the camera to be off", async () => (await page.locator("video").count()) === 0);
    quiet(page);
  },

  async a_camera_that_gives_no_picture_says_why_and_is_tried_again(world) {
    await world.startRelay();
    const page = await world.open(await world.browser());
    await world.code(page);
    const camera = (what) => page.evaluate((what) => {
      navigator.mediaDevices.getUserMedia = async () => {
        if (what === "silent") return document.createElement("canvas").captureStream(0);
        throw new DOMException("as a browser says it", what);
      };
    }, what);
    const troubles = { NotAllowedError: "denied", NotFoundError: "missing", NotReadableError: "busy", silent: "busy" };
    await camera("NotAllowedError");
    await openCamera(page);
    for (const [what, trouble] of Object.entries(troubles)) {
      await camera(what);
      await page.click("dialog.scan button:has-text('Try again')");
      await page.waitForSelector(`[data-trouble=${trouble}]`);
      assert((await page.textContent("dialog.scan")).includes("as a browser says it") === false, "a browser's own words are shown");
    }
    await accessible(page, "no camera");
    quiet(page);
  },

  async a_scanner_keeps_the_newest_frame_and_outlives_a_program_that_ends() {
    const workers = [];
    /** Opens, and does what the test says. */
    class Told {
      constructor() { workers.push(this); }
      postMessage(message) {
        if ("open" in message) queueMicrotask(() => this.onmessage({ data: { opened: true } }));
        else this.given = message;
      }
      terminate() { this.isOver = true; }
    }
    globalThis.ImageData ??= class {};
    const { CodeScanner } = await import(`${packageFolder}/index.js`);
    const scanner = await CodeScanner.open({ worker: () => new Told() });
    const reports = [];
    const failures = [];
    scanner.onReport = (report) => reports.push(report);
    scanner.onFailed = (error) => failures.push(error.name);
    const frame = () => ({ close() { this.isClosed = true; } });
    const [first, second, third] = [frame(), frame(), frame()];
    const fates = [first, second, third].map((each) => scanner.offer(each));
    assert(fates.join() === "waits,waits,replaced-older", `the frames: ${fates}`);
    assert(second.isClosed && !third.isClosed, "the older one of two that wait was kept, or the newer one was dropped");
    workers[0].onmessage({ data: { report: { codes: [] } } });
    assert(workers[0].given.picture === third, "the newest frame was not handed on");
    const { submitted, scanned, dropped } = reports[0].counts;
    assert([submitted, scanned, dropped].join() === "3,1,1", `the counts: ${[submitted, scanned, dropped]}`);

    const end = () => workers.at(-1).onmessage({ data: { fault: { name: "Failed", message: "unreachable", isEnd: true } } });
    end();
    await until("another worker", () => workers.length === 2 && workers[0].isOver);
    await until("it to take frames", () => { scanner.offer(frame()); return workers[1].given; });
    // What a worker says that was given up counts no more.
    workers[0].onmessage({ data: { report: { codes: [] } } });
    assert(reports.length === 1, "a worker that was given up is heard");
    for (let at = 0; at < 2; at++) {
      end();
      await new Promise((done) => setTimeout(done));
    }
    assert(failures.join() === "Failed", `after three ends: ${failures}`);
    let refused;
    try {
      scanner.offer(frame());
    } catch (error) {
      refused = error.name;
    }
    assert(refused === "Ended", `a closed scanner takes a frame: ${refused}`);
  },
};
