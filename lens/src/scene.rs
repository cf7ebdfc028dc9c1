//! What stands in front of the camera: a laptop screen with a page that shows the symbol.

use crate::{LensError, Matrix};

/// The page with the symbol, on a given screen.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// The modules to show.
    pub matrix: Matrix,
    /// Width of the empty margin around the symbol, in modules (the standard asks for 4).
    pub quiet_zone: usize,
    /// Side of one module, in screen pixels; 1 to 64.
    pub module_px: usize,
    /// Colours of the page and of the symbol.
    pub theme: Theme,
    /// The panel that shows the page.
    pub screen: ScreenModel,
}

impl Scene {
    /// A light page on a common laptop screen: 6 screen pixels per module, or fewer if the symbol would not fit.
    #[must_use]
    pub fn new(matrix: Matrix) -> Self {
        let scene = Self { matrix, quiet_zone: 4, module_px: 6, theme: Theme::Light, screen: ScreenModel::default() };
        scene.with_module_px(6)
    }

    /// The same scene with this many screen pixels per module, or fewer if the symbol would not fit.
    #[must_use]
    pub fn with_module_px(mut self, module_px: usize) -> Self {
        let fitting = self.available_px() / self.modules_with_quiet_zone();
        self.module_px = module_px.min(fitting).max(1);
        self
    }

    /// Side of the symbol without quiet zone, in screen pixels.
    #[must_use]
    pub fn symbol_px(&self) -> usize {
        self.matrix.size() * self.module_px
    }

    pub(crate) fn modules_with_quiet_zone(&self) -> usize {
        self.matrix.size() + 2 * self.quiet_zone
    }

    pub(crate) fn available_px(&self) -> usize {
        self.screen.width.min(self.screen.height.saturating_sub(2 * crate::panel::TOP_BAR_PX))
    }

    /// Top-left corner of the symbol (without quiet zone) on the panel, in screen pixels.
    pub(crate) fn symbol_origin(&self) -> (usize, usize) {
        let side = self.symbol_px();
        ((self.screen.width - side) / 2, (self.screen.height - side) / 2)
    }

    pub(crate) fn check(&self) -> Result<(), LensError> {
        let bad = |field, reason| Err(LensError::OutOfRange { field, reason });
        if !(64..=2560).contains(&self.screen.width) || !(64..=1600).contains(&self.screen.height) {
            return bad("ScreenModel::width, height", "64x64 to 2560x1600");
        }
        if !(1..=64).contains(&self.module_px) {
            return bad("Scene::module_px", "1 to 64");
        }
        if self.quiet_zone > 64 {
            return bad("Scene::quiet_zone", "0 to 64");
        }
        let needed = self.modules_with_quiet_zone() * self.module_px;
        if needed > self.available_px() {
            return Err(LensError::SymbolTooLarge { needed, available: self.available_px() });
        }
        let screen = &self.screen;
        if !(0.1..=1.0).contains(&screen.fill_x) || !(0.1..=1.0).contains(&screen.fill_y) {
            return bad("ScreenModel::fill_x, fill_y", "0.1 to 1");
        }
        if !(1.0..=1e6).contains(&screen.contrast) || !(0.0..=10.0).contains(&screen.brightness) {
            return bad("ScreenModel::contrast, brightness", "1 to 1e6 and 0 to 10");
        }
        if !(0.01..=1.0).contains(&screen.pwm_duty) || !(0.0..=1e6).contains(&screen.pwm_hz) {
            return bad("ScreenModel::pwm_duty, pwm_hz", "0.01 to 1 and 0 to 1e6");
        }
        Ok(())
    }
}

/// Colours of page and symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    /// Dark modules on a white card, on a light page.
    Light,
    /// Dark modules on a white card, on a dark page.
    DarkPage,
    /// Light modules on a dark card, on a dark page: what a careless dark mode does to a QR code.
    Inverted,
}

/// Order of the colour stripes in one screen pixel, from left to right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stripes {
    /// Red, green, blue: nearly every laptop.
    Rgb,
    /// Blue, green, red.
    Bgr,
}

/// The panel: its pixel grid, its light and its flicker.
#[derive(Debug, Clone, PartialEq)]
pub struct ScreenModel {
    /// Screen pixels from left to right; 64 to 2560.
    pub width: usize,
    /// Screen pixels from top to bottom; 64 to 1600.
    pub height: usize,
    /// Order of the colour stripes.
    pub stripes: Stripes,
    /// Lit part of a stripe's width (the rest is black matrix); 0.1 to 1.
    pub fill_x: f32,
    /// Lit part of a stripe's height; 0.1 to 1.
    pub fill_y: f32,
    /// Light of a white area, 1 being what `View::exposure` is measured against.
    pub brightness: f32,
    /// White divided by black.
    pub contrast: f32,
    /// Frequency at which the backlight is switched for dimming, in hertz; 0 for a steady light.
    pub pwm_hz: f32,
    /// Lit part of each period of that switching; 0.01 to 1.
    pub pwm_duty: f32,
}

impl Default for ScreenModel {
    fn default() -> Self {
        Self {
            width: 1440,
            height: 900,
            stripes: Stripes::Rgb,
            fill_x: 0.78,
            fill_y: 0.86,
            brightness: 1.0,
            contrast: 900.0,
            pwm_hz: 0.0,
            pwm_duty: 1.0,
        }
    }
}
