//! `/workers`: programs on other machines that take jobs.

use askama::Template;
use warp::http::StatusCode;
use warp::reply::Response;

use super::done;
use crate::platform::error::{Error, Result};
use crate::platform::http::{Refusal, Request, Saved, answers};
use crate::platform::jobs::remote::{self, AddWorker, NewWorker, Worker, WorkerId, Workshop};

#[derive(Template)]
#[template(path = "use_cases/console/templates/workers.html", config = "src/askama.toml")]
struct Page<'a> {
    workers: Vec<Worker>,
    /// The kinds of jobs that they can do.
    kinds: Vec<&'static str>,
    /// One that was just made: its token is shown once.
    new: Option<NewWorker>,
    origin: String,
    typed: String,
    done: Option<&'static str>,
    refused: &'a Refusal,
}

/// `GET /workers`
pub(super) async fn show(shop: Workshop, request: Request) -> Result<Response> {
    page(&shop, &request, None, String::new(), Refusal::default()).await
}

/// `POST /workers`
pub(super) async fn add(shop: Workshop, mut request: Request) -> Result<Response> {
    let who = shop.platform.principal(&request).await?;
    who.must_be_owner()?;
    let form: AddWorker = request.form().await?;
    let typed = form.name.clone();
    match shop.add(request.call(Some(&who))?, form).await {
        Ok(Saved::Fresh(new)) => page(&shop, &request, Some(new), String::new(), Refusal::default()).await,
        // Forms bear no key.
        Ok(Saved::Replayed(_)) => Err(Error::Internal("a form was answered twice".into())),
        Err(error) => page(&shop, &request, None, typed, Refusal::of(error)?.only(&["name"])).await,
    }
}

/// `POST /workers/{id}/remove`
pub(super) async fn remove(shop: Workshop, request: Request<String>) -> Result<Response> {
    let who = shop.platform.principal(&request).await?;
    who.must_be_owner()?;
    shop.remove(request.caller(&who), WorkerId::parse(&request.path, "worker")?).await?;
    answers::see_other("/workers?done=worker-removed")
}

async fn page(
    shop: &Workshop,
    request: &Request,
    new: Option<NewWorker>,
    typed: String,
    refused: Refusal,
) -> Result<Response> {
    let look = shop.platform.look("workers_page", request, |snapshot, who| {
        who.must_be_owner()?;
        remote::workers(snapshot)
    });
    let (viewer, workers) = look.await?;
    let kinds = shop.kinds.iter().filter(|kind| kind.is_portable()).map(|kind| kind.name).collect();
    let is_new = new.is_some();
    let content = Page {
        workers,
        kinds,
        new,
        origin: shop.origin.to_string(),
        typed,
        done: done(&request.head),
        refused: &refused,
    };
    let mut response = shop.platform.show(&request.head, &viewer, "Workers", &refused, &content)?;
    if is_new {
        *response.status_mut() = StatusCode::CREATED;
    }
    Ok(response)
}
