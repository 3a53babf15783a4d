//! Pages.
use super::App;
use crate::platform::http::Routes;
use crate::platform::http::page::NavItem;

pub const NAV: [NavItem; 1] = [NavItem { label: "Home", href: "/", for_members: true }];

pub fn routes(_app: &App) -> Option<Routes> {
    None
}
