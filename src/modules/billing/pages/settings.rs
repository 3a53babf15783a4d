//! `/billing/settings`: who sells, and how. Staff see it, owners change it.

use askama::Template;
use warp::reply::Response;

use super::typed::Typed;
use super::{Room, must_still_be, page, view};
use crate::modules::billing::invoices::document::{Address, BankAccount, Party};
use crate::modules::billing::languages::{self, Language};
use crate::modules::billing::model::iban as iban_of;
use crate::modules::billing::{GiveUp, Settings, catalogue};
use crate::platform::error::{Error, Result};
use crate::platform::http::{Refusal, Request, answers};
use crate::platform::text;

const MAX_LINE: usize = 200;

#[derive(Template)]
#[template(path = "modules/billing/pages/templates/settings.html", config = "src/askama.toml")]
struct SettingsPage<'a> {
    typed: Typed,
    languages: [Language; languages::ALL.len()],
    is_owner: bool,
    done: Option<&'static str>,
    refused: &'a Refusal,
}

/// `GET /billing/settings`
pub(super) async fn show(room: Room, request: Request) -> Result<Response> {
    settings_page(&room, &request, None, Refusal::default()).await
}

async fn settings_page(room: &Room, request: &Request, typed: Option<Typed>, refused: Refusal) -> Result<Response> {
    let (viewer, ((settings, version), is_owner, now)) = room
        .look("billing_settings_page", request, |room, snapshot, who| {
            who.must_be_staff()?;
            Ok((room.billing.settings(snapshot)?, who.is_owner(), snapshot.now()))
        })
        .await?;
    let typed = typed.unwrap_or_else(|| Typed::fresh(now, fields(settings, version)));
    let content =
        SettingsPage { typed, languages: languages::ALL, is_owner, done: view::done(&request.head), refused: &refused };
    page(room, &request.head, &viewer, "Billing settings", &refused, &content)
}

fn fields(settings: Settings, version: i64) -> Vec<(&'static str, String)> {
    let Settings { seller, bank, .. } = settings;
    let text = |value: Option<String>| value.unwrap_or_default();
    let bank = bank.unwrap_or_else(|| BankAccount { holder: None, iban: String::new(), bic: None });
    let days: Vec<String> = settings.retry_days.iter().map(u16::to_string).collect();
    let give_up = if settings.give_up == GiveUp::WriteOff { "write_off" } else { "cancel" };
    vec![
        ("name", seller.name),
        ("line1", text(seller.address.line1)),
        ("line2", text(seller.address.line2)),
        ("postcode", text(seller.address.postcode)),
        ("city", text(seller.address.city)),
        ("region", text(seller.address.region)),
        ("country", text(seller.address.country)),
        ("tax_id", text(seller.tax_id)),
        ("tax_number", text(seller.tax_number)),
        ("email", text(seller.email)),
        ("holder", text(bank.holder)),
        ("iban", bank.iban),
        ("bic", text(bank.bic)),
        ("language", settings.language.words().tag.to_owned()),
        ("payment_terms_days", settings.payment_terms_days.to_string()),
        ("invoice_series", settings.invoice_series),
        ("credit_note_series", settings.credit_note_series),
        ("retry_days", days.join(", ")),
        ("give_up_day", settings.give_up_day.to_string()),
        ("give_up", give_up.to_owned()),
        ("version", version.to_string()),
    ]
}

/// `POST /billing/settings`
pub(super) async fn change(room: Room, mut request: Request) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    who.must_be_owner()?;
    let typed: Typed = request.form().await?;
    let changed = match settings_of(&typed) {
        Ok(settings) => {
            let form = typed.clone();
            let change = room.change("change_billing_settings", request.caller(&who), move |room, work| {
                room.billing.change_settings(work, settings, |version| must_still_be(&form, version))
            });
            change.await
        }
        Err(error) => Err(error),
    };
    match changed {
        Ok(_) => answers::see_other("/billing/settings?done=settings-saved"),
        Err(error) => settings_page(&room, &request, Some(typed), Refusal::of(error)?).await,
    }
}

fn settings_of(typed: &Typed) -> Result<Settings> {
    let line = |field: &'static str| typed.some(field).map(|typed| text::line(field, &typed, MAX_LINE)).transpose();
    let country = typed.some("country").map(|code| catalogue::country("country", &code)).transpose()?;
    let name = line("name")?.ok_or_else(|| Error::invalid("name", "missing: invoices must say who sells"))?;
    let address = Address {
        line1: line("line1")?,
        line2: line("line2")?,
        postcode: line("postcode")?,
        city: line("city")?,
        region: line("region")?,
        country,
    };
    let seller =
        Party { name, address, tax_id: line("tax_id")?, tax_number: line("tax_number")?, email: line("email")? };
    let bank = match line("iban")? {
        Some(iban) => Some(BankAccount { holder: line("holder")?, iban: iban_of("iban", &iban)?, bic: line("bic")? }),
        None if typed.has("holder") || typed.has("bic") => {
            return Err(Error::invalid("iban", "missing: a bank account has one"));
        }
        None => None,
    };
    let days = typed.text("retry_days").split(',').map(str::trim).filter(|day| !day.is_empty());
    let days = days.map(|day| day.parse().map_err(|_| Error::invalid("retry_days", "days with commas: 1, 3, 5, 7")));
    let whole = |field: &str| typed.number(field)?.ok_or_else(|| Error::invalid(field, "write a whole number"));
    Ok(Settings {
        seller,
        bank,
        language: typed.some("language").map_or(Ok(Language::default()), |tag| {
            Language::of(&tag).ok_or_else(|| Error::invalid("language", "choose one of those that there are"))
        })?,
        payment_terms_days: whole("payment_terms_days")?,
        invoice_series: typed.text("invoice_series").to_owned(),
        credit_note_series: typed.text("credit_note_series").to_owned(),
        retry_days: days.collect::<Result<_>>()?,
        give_up_day: whole("give_up_day")?,
        give_up: if typed.is("give_up", "write_off") { GiveUp::WriteOff } else { GiveUp::Cancel },
    })
}
