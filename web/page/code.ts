// The code on the screen: whole device pixels for each module, four modules of margin, dark on light.

const MARGIN = 4;
const DARK = "#000";
const LIGHT = "#fff";

/** Draws into a canvas, as large as fits `most` CSS pixels and at least four CSS pixels a module. */
export function draw(canvas: HTMLCanvasElement, size: number, modules: string, most: number): void {
  const ratio = window.devicePixelRatio || 1;
  const side = size + 2 * MARGIN;
  const pixels = Math.max(Math.ceil(4 * ratio), Math.floor((most * ratio) / side));
  canvas.width = canvas.height = pixels * side;
  canvas.style.width = canvas.style.height = `${(pixels * side) / ratio}px`;
  const ink = canvas.getContext("2d", { alpha: false }) as CanvasRenderingContext2D;
  ink.fillStyle = LIGHT;
  ink.fillRect(0, 0, canvas.width, canvas.height);
  ink.fillStyle = DARK;
  for (let at = 0; at < modules.length; at++) {
    if (modules[at] !== "1") continue;
    ink.fillRect((MARGIN + (at % size)) * pixels, (MARGIN + Math.floor(at / size)) * pixels, pixels, pixels);
  }
}
