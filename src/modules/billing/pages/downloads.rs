//! An invoice as PDF and as XML: for whoever may see it, and for whoever has its link.

use utoipa::OpenApi;
use warp::http::{HeaderValue, header};
use warp::path as at;
use warp::reply::Response;

use super::Room;
use super::links::InvoiceLink;
use crate::modules::billing::invoices::document::Document;
use crate::modules::billing::{Billing, InvoiceId};
use crate::platform::db::Snapshot;
use crate::platform::error::{Error, Result};
use crate::platform::http::{self, Request, Routes, answers, on};

#[derive(OpenApi)]
#[openapi(paths(pdf, xml))]
pub(in crate::modules::billing) struct DownloadsApi;

pub(super) fn routes(room: &Room) -> Option<Routes> {
    http::either([
        on(room).get(pdf).at(at!("billing" / "invoices" / String / "pdf")),
        on(room).get(xml).at(at!("billing" / "invoices" / String / "xml")),
        on(room).get(pdf_by_link).at(at!("invoices" / String / "pdf")),
        on(room).get(xml_by_link).at(at!("invoices" / String / "xml")),
    ])
}

/// What an invoice is written as.
#[derive(Clone, Copy)]
pub(in crate::modules::billing) enum Form {
    Pdf,
    Xml,
}

/// An invoice or a credit note, to print: in the language in which it was finalised, the same bytes each time.
#[utoipa::path(
    get, path = "/api/billing/invoices/{id}.pdf", tag = "billing", operation_id = "invoice_pdf",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid)),
    responses(
        (status = 200, body = Vec<u8>, content_type = "application/pdf"),
        (status = 404, description = "there is none, or it is a draft"),
    ),
)]
async fn pdf(room: Room, request: Request<String>) -> Result<Response> {
    own(room, request, Form::Pdf).await
}

/// An invoice or a credit note for machines: UBL 2.1 as EN 16931 has it.
#[utoipa::path(
    get, path = "/api/billing/invoices/{id}.xml", tag = "billing", operation_id = "invoice_xml",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid)),
    responses(
        (status = 200, body = Vec<u8>, content_type = "application/xml"),
        (status = 404, description = "there is none, or it is a draft"),
        (status = 422, description = "it lacks what the standard wants: the errors name it"),
    ),
)]
async fn xml(room: Room, request: Request<String>) -> Result<Response> {
    own(room, request, Form::Xml).await
}

/// The invoice in the last part of the path, which may end with its form.
pub(in crate::modules::billing) async fn own(room: Room, request: Request<String>, form: Form) -> Result<Response> {
    let id = request.path.split('.').next().unwrap_or_default();
    let (it, id) = (room.clone(), InvoiceId::parse(id, "invoice"));
    let written = room.platform.scan("invoice_download", &request, move |snapshot, who| {
        let invoice = it.billing.invoice(snapshot, id?)?;
        it.must_see(snapshot, who, invoice.user_id, "invoice")?;
        form.write(&document(it.billing, snapshot, invoice.id)?)
    });
    let (name, bytes) = written.await?;
    form.answer(&name, bytes)
}

/// `GET /invoices/{link}/pdf`
async fn pdf_by_link(room: Room, request: Request<String>) -> Result<Response> {
    by_link(room, request, Form::Pdf).await
}

/// `GET /invoices/{link}/xml`
async fn xml_by_link(room: Room, request: Request<String>) -> Result<Response> {
    by_link(room, request, Form::Xml).await
}

async fn by_link(room: Room, request: Request<String>, form: Form) -> Result<Response> {
    let (billing, secret) = (room.billing, room.platform.database.unit().secret);
    let written = room.platform.database.scan("invoice_download_by_link", move |snapshot| {
        let InvoiceLink(id) = InvoiceLink::parse(&request.path, &secret)?;
        form.write(&document(billing, snapshot, id)?)
    });
    let (name, bytes) = written.await?;
    form.answer(&name, bytes)
}

fn document(billing: Billing, snapshot: &Snapshot<'_>, id: InvoiceId) -> Result<Document> {
    billing.document(snapshot, id)?.ok_or(Error::NotFound("invoice"))
}

impl Form {
    /// What `{id}.pdf` asks for.
    pub fn of(path: &str) -> Option<Form> {
        match path.rsplit_once('.')?.1 {
            "pdf" => Some(Form::Pdf),
            "xml" => Some(Form::Xml),
            _ => None,
        }
    }

    /// The file's name and what is in it.
    fn write(self, document: &Document) -> Result<(String, Vec<u8>)> {
        match self {
            Form::Pdf => Ok((format!("{}.pdf", document.number), document.to_pdf()?)),
            Form::Xml => Ok((format!("{}.xml", document.number), document.to_xml()?)),
        }
    }

    fn answer(self, name: &str, bytes: Vec<u8>) -> Result<Response> {
        let content_type = match self {
            Form::Pdf => "application/pdf",
            Form::Xml => "application/xml",
        };
        let mut response = answers::text(content_type, bytes);
        // Numbers are capital letters, digits and hyphens.
        let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
        let disposition = disposition.map_err(|e| Error::internal("naming a download", e))?;
        response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
        Ok(response)
    }
}
