// Uploads that can be paused and resumed, by the tus protocol 1.0, with any number of files at once. Without this script the
// form sends one file the plain way.
"use strict";
{
  const form = document.querySelector("[data-uploads]");
  const list = form?.querySelector(".transfers");
  const input = form?.querySelector("input[type=file]");
  const PIECE = 4 * 1024 * 1024;
  const HEADERS = { "tus-resumable": "1.0.0" };

  const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
  const key = (file) => `upload ${form.dataset.uploads} ${file.name} ${file.size} ${file.lastModified}`;
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));

  class Refused extends Error {}

  const ask = async (method, url, headers = {}, body = undefined) => {
    const answer = await fetch(url, { method, body, headers: { ...HEADERS, ...headers } });
    if (answer.redirected) throw new Refused("You are signed out: sign in, and go on.");
    return answer;
  };

  class Transfer {
    constructor(file) {
      this.file = file;
      this.paused = false;
      this.offset = 0;
      this.row = document.createElement("li");
      this.row.className = "transfer";
      const name = document.createElement("bdi");
      name.className = "transfer-name";
      name.textContent = file.name;
      this.bar = document.createElement("progress");
      this.bar.className = "progress";
      this.bar.max = Math.max(file.size, 1);
      this.bar.setAttribute("aria-label", file.name);
      this.note = document.createElement("span");
      this.note.className = "transfer-note";
      this.button = document.createElement("button");
      this.button.type = "button";
      this.button.className = "button small";
      this.button.addEventListener("click", () => this.toggle());
      this.cancel = document.createElement("button");
      this.cancel.type = "button";
      this.cancel.className = "button small quiet";
      this.cancel.textContent = "Cancel";
      this.cancel.addEventListener("click", () => this.end());
      this.row.append(name, this.bar, this.note, this.button, this.cancel);
      list.append(this.row);
    }

    show(note) {
      // Paused, it stays where it was seen: what has arrived stays there too, and is asked for before it goes on.
      if (!this.paused) this.bar.value = this.offset;
      this.note.textContent = note ?? `${Math.floor((100 * this.offset) / this.bar.max)} %`;
      this.button.textContent = this.paused ? "Resume" : "Pause";
    }

    // There is nothing to go on with.
    never(note) {
      this.paused = true;
      this.button.remove();
      this.bar.remove();
      this.cancel.textContent = "Dismiss";
      this.row.classList.add("refused");
      this.show(note);
    }

    toggle() {
      this.paused = !this.paused;
      this.show(this.paused ? "Paused" : undefined);
      if (this.paused) this.request?.abort();
      else this.run();
    }

    async end() {
      this.paused = true;
      this.request?.abort();
      this.row.remove();
      if (this.url) await ask("DELETE", this.url).catch(() => {});
      localStorage.removeItem(key(this.file));
    }

    // Where it is; anew where there is no such upload any more.
    async begin() {
      this.url ??= localStorage.getItem(key(this.file));
      if (this.url) {
        const answer = await ask("HEAD", this.url);
        if (answer.ok) {
          this.offset = Number(answer.headers.get("upload-offset"));
          return;
        }
        if (answer.status >= 500) throw new Error(`status ${answer.status}`);
        localStorage.removeItem(key(this.file));
      }
      const headers = { "upload-length": String(this.file.size), "upload-metadata": `filename ${base64(this.file.name)}` };
      const answer = await ask("POST", form.dataset.uploads, headers);
      if (answer.status !== 201) await this.refuse(answer);
      this.url = answer.headers.get("location");
      this.offset = 0;
      localStorage.setItem(key(this.file), this.url);
    }

    async refuse(answer) {
      if (answer.status >= 500 || answer.status === 409) throw new Error(`status ${answer.status}`);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      throw new Refused(page.querySelector("main p")?.textContent.trim() || `The server refused it (${answer.status}).`);
    }

    // With a request of its own kind, since fetch says nothing of how far it is.
    send(piece) {
      return new Promise((done, failed) => {
        const request = new XMLHttpRequest();
        this.request = request;
        request.open("PATCH", this.url);
        request.setRequestHeader("tus-resumable", "1.0.0");
        request.setRequestHeader("upload-offset", String(this.offset));
        request.setRequestHeader("content-type", "application/offset+octet-stream");
        const from = this.offset;
        request.upload.addEventListener("progress", (event) => {
          this.bar.value = from + event.loaded;
        });
        request.addEventListener("load", () => done(request));
        request.addEventListener("error", () => failed(new Error("the connection broke")));
        request.addEventListener("abort", () => failed(new Error("paused")));
        request.send(piece);
      });
    }

    async run() {
      let tries = 0;
      while (!this.paused) {
        try {
          await this.begin();
          this.show();
          while (!this.paused && this.offset < this.file.size) {
            const answer = await this.send(this.file.slice(this.offset, this.offset + PIECE));
            if (answer.status === 413) throw new Refused("The server takes no more of it.");
            if (answer.status !== 204) throw new Error(`status ${answer.status}`);
            this.offset = Number(answer.getResponseHeader("upload-offset"));
            tries = 0;
            this.show();
          }
          if (this.offset >= this.file.size) {
            localStorage.removeItem(key(this.file));
            this.row.remove();
            return;
          }
        } catch (error) {
          if (this.paused) return;
          if (error instanceof Refused) {
            this.paused = true;
            this.show(error.message);
            this.row.classList.add("refused");
            return;
          }
          tries += 1;
          this.show("The connection broke; it goes on by itself.");
          await wait(Math.min(500 * 2 ** tries, 15000));
        }
      }
    }
  }

  const take = (files) => {
    for (const file of files) {
      const transfer = new Transfer(file);
      if (file.size === 0) {
        transfer.never("The file is empty.");
      } else if (file.size > Number(form.dataset.max)) {
        transfer.never("The file is too large.");
      } else {
        transfer.show();
        transfer.run();
      }
    }
  };

  if (form) {
    input.multiple = true;
    form.querySelector("[data-hint]").textContent += " Drop files here, as many as you like; a transfer that breaks goes on where it was.";
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      take(input.files);
      form.reset();
    });
    for (const type of ["dragover", "dragenter"]) {
      form.addEventListener(type, (event) => {
        event.preventDefault();
        form.classList.add("over");
      });
    }
    for (const type of ["dragleave", "drop"]) form.addEventListener(type, () => form.classList.remove("over"));
    form.addEventListener("drop", (event) => {
      event.preventDefault();
      take(event.dataTransfer.files);
    });
  }
}
