//! Stock clients of the tus protocol: they upload, are cut off, and go on where they were.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::media::{content, sha256};
use crate::support::{TestApp, skip, tool};

/// tuspy, which sends no metadata: three pieces, then nothing more; a second one finds the first one's upload again and
/// goes on, with a checksum of each piece.
const TUSPY: &str = r"
import sys
from tusclient.client import TusClient
from tusclient.storage.filestorage import FileStorage
url, token, path, store, cut = sys.argv[1:]
client = TusClient(url, headers={'Authorization': f'Bearer {token}'})
uploader = client.uploader(
    path, chunk_size=300_000, upload_checksum=True, store_url=True, url_storage=FileStorage(store))
print(uploader.offset or 0)
uploader.upload(stop_at=int(cut) or None)
";

/// tus-js-client: the process dies after three pieces; the next one finds the upload again and goes on.
const TUS_JS: &str = r"
const fs = require('fs');
const tus = require('tus-js-client');
const [url, token, path, store, cut] = process.argv.slice(2);
const upload = new tus.Upload(fs.createReadStream(path), {
  endpoint: url,
  headers: { authorization: `Bearer ${token}` },
  metadata: { filename: 'Grüezi 🎉.bin', filetype: 'application/octet-stream' },
  uploadSize: fs.statSync(path).size,
  chunkSize: 300000,
  urlStorage: new tus.FileUrlStorage(store),
  onError: (error) => { console.error(String(error)); process.exit(1); },
  onChunkComplete: (_, accepted) => { if (accepted >= Number(cut) && Number(cut)) process.kill(process.pid, 'SIGKILL'); },
});
upload.findPreviousUploads().then((found) => {
  console.log(found.length);
  if (found.length) upload.resumeFromPreviousUpload(found[0]);
  upload.start();
});
";

/// Runs `client` once until `cut` bytes are there, and once to the end.
fn upload_in_two(app: &TestApp, token: &str, folder: &Path, bytes: &[u8], client: impl Fn() -> Command) {
    let (file, store) = (folder.join("file.bin"), folder.join("urls.json"));
    std::fs::write(&file, bytes).unwrap();
    for cut in ["900000", "0"] {
        let mut client = client();
        client.arg(format!("{}/api/media/uploads", app.origin)).args([token]).args([&file, &store]).arg(cut);
        let ran = client.output().unwrap();
        let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success() || (cut != "0" && ran.status.code().is_none()), "{cut}: {said}");
        // The second one knows of the first.
        assert_eq!(said.starts_with('0'), cut != "0", "{said}");
    }
}

async fn must_be_there_once(app: &TestApp, token: &str, bytes: &[u8], name: &str) {
    let items = app.ask("GET /api/media", token, Value::Null).await.body["items"].clone();
    assert_eq!(items.as_array().unwrap().len(), 1, "{items}");
    let item = &items[0];
    assert_eq!(
        (&item["state"], &item["sha256"], &item["name"]),
        (&json!("ready"), &json!(sha256(bytes)), &json!(name))
    );
    assert_eq!(app.bytes_of(item["id"].as_str().unwrap(), token).await, bytes);
}

#[tokio::test]
async fn tuspy_uploads_with_checksums_and_goes_on_after_a_cut() {
    let Some(packages) = tool("tuspy-1.1.0", "") else { return };
    let (app, folder) = (TestApp::start().await, tempfile::tempdir().unwrap());
    let (_, ann) = app.person("ann@example.org", "member");
    let bytes = content(2_500_000);

    upload_in_two(&app, &ann, folder.path(), &bytes, || {
        let mut python = Command::new("python3");
        python.args(["-c", TUSPY]).env("PYTHONPATH", &packages).env("PYTHONDONTWRITEBYTECODE", "1");
        python
    });

    must_be_there_once(&app, &ann, &bytes, "Unnamed").await;
}

#[tokio::test]
async fn tus_js_client_uploads_and_goes_on_after_it_was_killed() {
    let Some(packages) = tool("tus-js-client-4.3.1", "node_modules") else { return };
    if Command::new("node").arg("--version").output().is_err() {
        return skip("what needs tus-js-client", "Node.js is not installed");
    }
    let (app, folder) = (TestApp::start().await, tempfile::tempdir().unwrap());
    let (_, ann) = app.person("ann@example.org", "member");
    let bytes = content(2_500_000);
    let script = folder.path().join("upload.js");
    std::fs::write(&script, TUS_JS).unwrap();

    upload_in_two(&app, &ann, folder.path(), &bytes, || {
        let mut node = Command::new("node");
        node.arg(&script).env("NODE_PATH", &packages);
        node
    });

    must_be_there_once(&app, &ann, &bytes, "Grüezi 🎉.bin").await;
}
