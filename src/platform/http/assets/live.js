// A page whose `data-events` names where its news come from is read again when there are some: each part with
// `data-live` and an id takes the place of the one before, unless somebody is at work in it.
"use strict";
{
  const source = document.querySelector("[data-events]");
  let reading = false;
  let again = false;

  const read = async () => {
    if (reading) {
      again = true;
      return;
    }
    reading = true;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      // Who was signed out is shown that at the next click; what a redirect leads to is not this page.
      if (answer.ok && !answer.redirected) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const part of document.querySelectorAll("[data-live]")) {
          const fresh = page.getElementById(part.id);
          if (fresh && !part.contains(document.activeElement)) part.replaceWith(document.adoptNode(fresh));
        }
      }
    } catch {
      // The server can't be reached just now; the next news try again.
    }
    reading = false;
    if (again) {
      again = false;
      read();
    }
  };

  if (source) new EventSource(source.dataset.events).addEventListener("message", read);
}
