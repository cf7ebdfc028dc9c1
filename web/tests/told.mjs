// The page before a worker that does what a test says, in the place of the core: for what a real relay and a real phone do seldom.

/**
 * Opens the page. `setup` runs in it first, and may change `calls`, the answers of the worker by the names of its calls. There
 * `tell({ link: … })` and `tell({ line: … })` are what the core says. With `clock` time stands still until the test moves it.
 */
export async function told(world, browser, setup = () => {}, { path = "/", clock = false } = {}) {
  const page = await world.open(browser, path);
  await page.addInitScript(() => {
    window.calls = { open: () => undefined, standing: () => null, hasLock: () => false, conversations: () => [], history: () => [] };
    window.tell = (said) => window.worker.onmessage({ data: said });
    window.Worker = class {
      constructor() { window.worker = this; }
      postMessage({ id, method, given }) {
        queueMicrotask(() => {
          try {
            this.onmessage?.({ data: { id, value: window.calls[method]?.(...given) } });
          } catch (error) {
            this.onmessage?.({ data: { id, error: { name: error.name, message: error.message } } });
          }
        });
      }
      terminate() {}
    };
  });
  await page.addInitScript(setup);
  if (clock) {
    await page.clock.install({ time: "2026-01-01T10:00:00Z" });
    await page.clock.pauseAt("2026-01-01T10:00:01Z");
  }
  await page.reload();
  return page;
}

/** A code as the core gives it: of the size of ours, its modules at random. */
export const anyCode = (shownMs = 30_000, size = 33) => ({
  type: "code", size, modules: Array.from({ length: size * size }, (_, at) => (at * 7919) % 3 === 0 ? "1" : "0").join(""), shownMs, text: "PAIRLIGHT:/",
});
