//! A simulated phone camera that looks at a QR code on a screen.
//!
//! It is not a photo filter: nothing here paints moiré, blur or noise on a finished picture. A [`Scene`] is a lit
//! panel with red, green and blue stripes; a [`View`] says how a camera is held in front of it; [`Lens::shoot`]
//! integrates the light that each photosite collects and then does what a camera does with it:
//!
//! ```text
//! Matrix ─► Scene ─► panel (pixels, stripes, gaps; linear light)
//!                      │  pose: perspective, lens distortion, rolling shutter
//!                      │  optics: defocus disc, hand motion, softness; flare
//!                      ▼
//!                    photosites (area integrals) ─► shot and read noise ─► clip ─► Bayer ─► gamma ─► 8 bit ─► JPEG
//!                                                                                                       │
//!                                                                  Frame { rgb, truth: corners, modules }
//! ```
//!
//! So aliasing between screen and sensor, banding and motion skew appear where they do in a real photo and nowhere
//! else, and every frame knows where each module of the symbol really is ([`Truth`]).
//!
//! Everything is drawn from one seed: the same [`Scene`] and [`View`] give the same bytes in the same build.
//!
//! What it does not do: depth (everything lies in the plane of the screen), autofocus, automatic exposure, noise
//! reduction of a phone's image processor.
//!
//! ```
//! use pairlight_lens::{Condition, Lens, Matrix};
//!
//! let matrix = Matrix::from_text("PAIRLIGHT")?;
//! let scene = Condition::Nominal.scene(matrix);
//! let frame = Lens::new(&scene)?.shoot(&Condition::Nominal.view(7))?;
//! assert_eq!(frame.luma().len(), frame.width * frame.height);
//! # Ok::<(), pairlight_lens::LensError>(())
//! ```

mod bands;
mod condition;
mod contact_sheet;
mod error;
mod font;
mod frame;
mod hand;
mod lens;
mod matrix;
mod noise;
mod optics;
mod panel;
mod pose;
mod room;
mod scene;
mod sensor;
mod sequence;
mod texture;
mod view;
mod y4m;

#[cfg(test)]
mod tests;

pub use condition::Condition;
pub use contact_sheet::contact_sheet;
pub use error::LensError;
pub use frame::{Frame, Truth};
pub use hand::{HandHeld, hand_held};
pub use lens::Lens;
pub use matrix::Matrix;
pub use scene::{Scene, ScreenModel, Stripes, Theme};
pub use sequence::{SEEDS_PER_SITUATION, SEQUENCE_FPS, SEQUENCE_FRAMES, Sequence, Situation, linking_text};
pub use texture::{Texture, texture};
pub use view::{Glare, GlareShape, Mosaic, View};
pub use y4m::{Chroma, Y4mWriter};
