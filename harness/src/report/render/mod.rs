//! How values are written: one small renderer a form. None of them computes anything.

pub(super) mod html;
pub mod markdown;
pub mod terminal;
