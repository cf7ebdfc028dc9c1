// The language of the page: what `?lang=` says, otherwise the first that the person's browser wants and this page has.

import { ar } from "./texts/ar.js";
import { de } from "./texts/de.js";
import { en, type Texts } from "./texts/en.js";

const LANGUAGES: Record<string, Texts> = { en, ar, de };
const RIGHT_TO_LEFT = new Set(["ar"]);

function chosen(): string {
  const asked = new URLSearchParams(location.search).get("lang");
  const wanted = [...(asked ? [asked] : []), ...navigator.languages].map((tag) => tag.toLowerCase().split("-")[0] ?? "");
  return wanted.find((tag) => Object.hasOwn(LANGUAGES, tag)) ?? "en";
}

const language = chosen();

/** The words of that language. */
export const t: Texts = LANGUAGES[language] ?? en;

// Digits are those that the phone shows and that are typed. A format takes longer to make than a screen, so each waits until it is used.
const formats = `${language}-u-nu-latn`;
const lazy = <T>(make: () => T) => { let made: T | undefined; return () => (made ??= make()); };
export const day = lazy(() => new Intl.DateTimeFormat(formats, { dateStyle: "medium" }));
export const hour = lazy(() => new Intl.DateTimeFormat(formats, { timeStyle: "short" }));
export const number = lazy(() => new Intl.NumberFormat(formats));

document.documentElement.lang = language;
document.documentElement.dir = RIGHT_TO_LEFT.has(language) ? "rtl" : "ltr";
