//! How values are written: one small renderer a form. None of them computes anything.

pub mod csv;
pub(super) mod html;
pub mod markdown;
pub mod terminal;
