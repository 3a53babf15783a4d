//! What goes to customers speaks their language: documents, the page that a link shows, and mails.

use ashlar::modules::billing::{Billing, DetailsChange, Invoice, Settings};
use ashlar::platform::ids::UserId;
use serde_json::{Value, json};

use super::fake::beside;
use super::{Books, Plan, TEAM, noon};
use crate::support::TestApp;

fn speak(books: &Books, user: UserId, tag: &str) {
    books.change_account(user, DetailsChange { language: Some(tag.to_owned()), ..DetailsChange::default() });
}

/// The language of the newest document of an account, and what its first line is called.
fn newest(books: &Books, user: UserId) -> (String, String) {
    let document = books.document(books.invoices(user).last().unwrap());
    (json!(document.language).as_str().unwrap().to_owned(), document.lines[0].description.clone())
}

fn pdf(books: &Books, invoice: &Invoice) -> Vec<u8> {
    books.document(invoice).to_pdf().unwrap()
}

#[test]
fn a_document_keeps_the_language_that_it_was_finalised_in() {
    let books = Books::open();
    books.sell(TEAM);
    let ann = books.account("EUR", "2026-06-01");
    speak(&books, ann, "de");
    books.subscribe(ann, "team", 3);
    let first = books.invoices(ann).remove(0);
    let printed = pdf(&books, &first);
    assert_eq!(newest(&books, ann), ("de".into(), "team, 3 Plätze".into()));

    speak(&books, ann, "fr");
    books.run_until(ann, "2026-07-01");

    assert_eq!(newest(&books, ann), ("fr".into(), "team, 3 places".into()));
    assert!(pdf(&books, &first) == printed, "its bytes are the same for ever");
    let second = books.invoices(ann).pop().unwrap();
    assert!(pdf(&books, &second).windows(9).any(|bytes| bytes == b"/Lang(fr)"));
}

#[test]
fn a_language_that_is_not_there_is_that_of_its_first_part_or_the_sellers() {
    let books = Books::open();
    books.sell(TEAM);
    books.sell(Plan { code: "large", price: "3100", ..TEAM });
    let sellers = json!({ "seller": { "name": "Ashlar SL", "address": {} }, "language": "es" });
    let sellers: Settings = serde_json::from_value(sellers).unwrap();
    books.write(move |work| Billing.change_settings(work, sellers, |_| Ok(()))).unwrap();
    let ann = books.account("EUR", "2026-06-01");
    assert_eq!(
        books.read(|snapshot| Billing.details(snapshot, ann)).language,
        "es",
        "a new account speaks as the seller"
    );

    let it = books.subscribe(ann, "team", 1);
    books.pay(ann, 100_000, None);
    assert_eq!(newest(&books, ann), ("es".into(), "team, 1 plaza".into()));
    speak(&books, ann, "de-AT");
    books.run_until(ann, "2026-07-01");
    assert_eq!(newest(&books, ann), ("de".into(), "team, 1 Platz".into()));
    speak(&books, ann, "pt-BR");
    books.run_until(ann, "2026-07-16");
    let change = serde_json::from_value(json!({ "plan": "large" })).unwrap();
    books.write(move |work| Billing.change_subscription(work, it.id, &change, |_| Ok(()))).unwrap();

    // What was charged in German is given back in Spanish, which the seller speaks.
    assert_eq!(newest(&books, ann), ("es".into(), "No utilizado: team, 1 Platz".into()));
    let document = books.document(books.invoices(ann).last().unwrap());
    assert_eq!(document.lines[1].description, "large, 1 plaza (16 de 31 días)");
    books.must_be_sound();
}

/// A server on which somebody who speaks `tag` has subscribed to the plan, with their invoice and the link to it.
async fn subscribed(tag: &str) -> (TestApp, String, UserId, Books, String) {
    let app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let person = app.sign_up("ann@example.org").await["user"]["id"].as_str().unwrap().to_owned();
    let ann = UserId::parse(&person, "user").unwrap();
    let path = format!("PATCH /api/billing/accounts/{person}");
    assert_eq!(app.ask(&path, &owner, json!({ "language": tag })).await.status, 200);
    let books = beside(&app);
    books.sell(TEAM);
    books.write(move |work| Billing.set_test_clock(work, ann, noon("2026-06-01"))).unwrap();
    books.subscribe(ann, "team", 200);
    let secret = books.database.unit().secret;
    let link = Billing.invoice_path(&secret, books.invoices(ann)[0].id);
    (app, owner, ann, books, link)
}

/// The text and the HTML of a mail, once there is one of this subject.
async fn mail(app: &TestApp, owner: &str, subject: &str) -> (String, String) {
    for _ in 0..500 {
        let all = app.ask("GET /api/mails", owner, Value::Null).await;
        if let Some(mail) = all.body["items"].as_array().unwrap().iter().find(|mail| mail["subject"] == subject) {
            let shown = app.ask(&format!("GET /api/mails/{}", mail["id"].as_str().unwrap()), owner, Value::Null).await;
            return ["text", "html"].map(|part| shown.body["body"][part].as_str().unwrap().to_owned()).into();
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("no mail says {subject}")
}

#[tokio::test]
async fn mails_speak_the_language_of_the_account() {
    let (app, owner, ann, books, link) = subscribed("fr-CA").await;
    let number = books.invoices(ann)[0].number.clone().unwrap();
    books.run_until(ann, "2026-06-16");

    let (text, html) = mail(&app, &owner, &format!("Facture {number} de Ashlar Ltd")).await;
    let said = "Merci de régler 2\u{202f}400,00\u{a0}€ au plus tard le 15\u{a0}juin\u{a0}2026.";
    for part in [&text, &html] {
        assert!(part.contains(said) && part.contains(&link) && part.contains("DE89370400440532013000"), "{part}");
    }
    assert!(text.starts_with("Bonjour "), "{text}");
    assert!(html.contains("<html lang=\"fr\">") && html.contains("Voir la facture"), "{html}");

    let (text, _) = mail(&app, &owner, &format!("Rappel\u{a0}: la facture {number} est échue")).await;
    assert!(text.contains("Ceci est le rappel 1 sur 4."), "{text}");
}

#[tokio::test]
async fn the_page_of_a_link_speaks_the_documents_language_and_the_console_english() {
    let (app, owner, ann, books, link) = subscribed("de").await;
    let invoice = books.invoices(ann).remove(0);

    let page = app.get(&link).send().await.unwrap().text().await.unwrap();
    for said in [
        "<html lang=\"de\">",
        ">Zum Inhalt springen<",
        ">Anmelden<",
        "<h1>Rechnung <span class=\"nowrap\">INV-",
        ">Offen<",
        "2.400,00\u{a0}€</strong> zu zahlen bis zum 15.\u{a0}Juni\u{a0}2026.",
        "team, 200 Plätze",
        "USt. 20\u{a0}% auf 2.000,00\u{a0}€",
        "Verwendungszweck",
    ] {
        assert!(page.contains(said), "{said} is not on:\n{page}");
    }
    let console = app.page(&format!("/billing/invoices/{}", invoice.id), &owner).send().await.unwrap();
    let console = console.text().await.unwrap();
    for said in ["<html lang=\"en\">", "<h1>Invoice INV-", ">Open<", "2,400.00\u{a0}EUR</strong> to pay"] {
        assert!(console.contains(said), "{said} is not on:\n{console}");
    }
}

#[tokio::test]
async fn any_tag_is_taken_and_what_is_spoken_can_be_chosen() {
    let (app, owner, ann, books, _) = subscribed("pt-BR").await;

    let path = format!("GET /api/billing/invoices/{}", books.invoices(ann)[0].id);
    assert_eq!(app.ask(&path, &owner, Value::Null).await.body["document"]["language"], "en");
    let account = format!("PATCH /api/billing/accounts/{ann}");
    for wrong in ["d", "de_DE", "deutsch, bitte"] {
        let refused = app.ask(&account, &owner, json!({ "language": wrong })).await;
        assert_eq!((refused.status, refused.wrong_fields()), (422, vec!["language"]), "{wrong}");
    }
    let settings = json!({ "seller": { "name": "Ashlar", "address": {} }, "language": "pt" });
    assert_eq!(app.ask("PUT /api/billing/settings", &owner, settings).await.status, 422);

    let form = app.page(&format!("/billing/accounts/{ann}/edit"), &owner).send().await.unwrap().text().await.unwrap();
    for option in
        ["<option value=\"fr\">Français</option>", "<option value=\"pt-BR\" selected>pt-BR, in English</option>"]
    {
        assert!(form.contains(option), "{option} is not on:\n{form}");
    }
}
