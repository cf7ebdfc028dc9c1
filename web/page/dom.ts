// Elements without markup: a text of another device never becomes more than text.

type Child = Node | string | null | undefined | false;

/** `make("p", { class: "soft" }, "words")`. Properties that begin with "on" are listeners; false and undefined leave out. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  given: Record<string, string | number | boolean | undefined | ((event: never) => void)> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value as EventListener);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== undefined && value !== false) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child): child is Node | string => child !== null && child !== undefined && child !== false));
  return element;
}

export const screen = document.getElementById("screen") as HTMLElement;
const said = document.getElementById("said") as HTMLElement;

/** Puts a screen in the place of the one before, and says its heading to whoever listens. */
export function show(name: string, ...children: Child[]): void {
  document.body.dataset["screen"] = name;
  delete document.body.dataset["open"];
  screen.replaceChildren(...children.filter((child): child is Node | string => !!child));
  const heading = screen.querySelector("h1");
  if (heading) say(heading.textContent ?? "");
}

/** Says something to whoever listens instead of looking. */
export function say(words: string): void {
  if (said.textContent !== words) said.textContent = words;
}

export const size = (bytes: number): string =>
  bytes < 1024 ? `${bytes} B` : bytes < 1024 ** 2 ? `${(bytes / 1024).toFixed(0)} KB` : `${(bytes / 1024 ** 2).toFixed(1)} MB`;
